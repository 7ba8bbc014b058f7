#define API __attribute__((visibility("default"))) extern
#define RESTRICT restrict
#define MAYBE
#define NORETURN _Noreturn
API void f(char * RESTRICT p);
