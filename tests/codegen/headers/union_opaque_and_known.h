union number { int i; float f; struct { char a, b; } bytes; };
void f(union number * n);
