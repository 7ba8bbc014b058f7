typedef int uint64_t;
void f(uint64_t x);
