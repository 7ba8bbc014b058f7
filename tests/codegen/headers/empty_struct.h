struct nothing {};
void f(struct nothing * n);
