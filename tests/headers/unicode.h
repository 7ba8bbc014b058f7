int größe(int x);
