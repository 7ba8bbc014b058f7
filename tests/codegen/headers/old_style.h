int f();
typedef void (*callback)();
void g(callback c);
