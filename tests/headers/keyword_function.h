void lambda(int x);
