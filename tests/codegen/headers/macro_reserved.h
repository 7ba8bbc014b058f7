#define _HIDDEN 1
#define __HIDDEN__ 2
#define SHOWN 3
