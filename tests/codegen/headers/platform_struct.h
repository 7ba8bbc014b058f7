struct s {
    int a;
#ifdef __APPLE__
    int b;
#endif
};
void f(struct s * s);
