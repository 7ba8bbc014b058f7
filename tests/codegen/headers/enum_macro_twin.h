enum { EPERM_LIKE = 1 };
#define EPERM_LIKE EPERM_LIKE
void f(void);
