#include <stdint.h>
#define AS_INT ((int) 3.9)
#define AS_UNSIGNED ((unsigned) -1)
#define AS_BYTE ((uint8_t) 300)
#define AS_FLOAT ((float) 1)
#define AS_LONG ((int64_t) -1)
#define AS_BOOL ((_Bool) 5)
#define NOTHING ((void *) 0)
#define ADDRESS ((char *) -1)
