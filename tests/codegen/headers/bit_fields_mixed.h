#include <stdbool.h>
enum mode { OFF, ON };
/* Units of one size, with a field after them that begins anew: alike on every platform. */
struct alike { unsigned a : 3; int b : 30; enum mode mode : 2; unsigned : 4; long long wide; bool on : 1; unsigned char rest : 7; };
/* C puts the second where ctypes would not. */
struct otherwise { char c; int a : 3; };
struct ends { unsigned a : 3; unsigned : 0; unsigned b : 3; };
int by_pointer(struct alike * a, struct otherwise * o);
int by_value(struct alike a);
