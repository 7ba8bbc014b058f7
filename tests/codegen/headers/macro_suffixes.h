#define U 1u
#define L 2l
#define ULL 0xffffffffffffffffull
#define LL -5ll
#define OCTAL 017
#define HEX 0xFFu
#define BINARY 0b101
#define MIN64 (-9223372036854775807ll - 1)
#define TOP32 0x80000000
