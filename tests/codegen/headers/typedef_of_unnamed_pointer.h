typedef struct { int a; } * only_pointer;
void f(only_pointer p);
