#if defined(_WIN32)
#define PLATFORM 1
#else
#define PLATFORM 2
#endif
void f(void);
