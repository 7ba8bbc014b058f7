#include <unistd.h>
void f(void);
