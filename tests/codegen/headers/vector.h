typedef float v4 __attribute__((vector_size(16)));
void f(v4 x);
