typedef struct { int a; } one, * one_ptr, ones[2];
typedef struct tag { int b; } two, * two_ptr;
void f(one a, one_ptr b, ones c, two d, two_ptr e, struct tag g);
