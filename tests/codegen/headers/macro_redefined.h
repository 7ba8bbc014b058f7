#define TWICE 1
#define TWICE 1
#undef TWICE
#define TWICE 2
void f(int x[TWICE]);
