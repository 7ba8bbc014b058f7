enum tiny { ONLY } __attribute__((packed));
void f(enum tiny t);
