void take(struct only_here * p);
