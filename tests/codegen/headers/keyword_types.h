struct class { int x; };
enum import { del };
typedef int global;
typedef struct { int y; } with;
struct nonlocal;
typedef void (*try)(struct class c);
struct class f(enum import i, global g, with w, struct nonlocal * n, try t);
