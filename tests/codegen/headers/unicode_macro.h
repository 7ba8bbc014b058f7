#define GRÖSSE 3
void f(void);
