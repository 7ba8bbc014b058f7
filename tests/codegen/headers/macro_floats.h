#define HALF 0.5
#define THIRD (1.0 / 3)
#define SINGLE 0.1f
#define BIG 1e300
#define TINY 1e-300
#define NEGATIVE -2.5
#define INFINITE (1.0 / 0.0)
#define NO_NUMBER (0.0 / 0.0)
#define LONG 1.1L
#define HEXFLOAT 0x1.8p3
