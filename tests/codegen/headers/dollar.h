int a$b(int x);
