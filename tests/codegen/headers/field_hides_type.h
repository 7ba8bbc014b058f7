#include <stdint.h>
struct s {
    int64_t int_value;
    float bytes;
    const char * text;
    struct item * item;
    int Any;
};
struct item { int x; float int_; };
void f(struct s * s);
