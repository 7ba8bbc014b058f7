#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CALL() 3
#define USED MAX(2, CALL())
#define VARIADIC(...) __VA_ARGS__
int f(int x);
#define f(x) f(x + 1)
#define alias f
