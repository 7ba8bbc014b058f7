#define None 3
#define pass "x"
enum { True, lambda = 7 };
enum e { yield = 2 };
void f(enum e e);
