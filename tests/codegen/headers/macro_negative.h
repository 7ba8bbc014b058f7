#define MINUS -1
#define MORE -0x7fffffff
#define DIFFERENCE 3 - 5
