struct s { void (*run)(int); };
void s_run(int x);
void f(struct s * s);
