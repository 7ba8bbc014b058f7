#define GONE 1
#undef GONE
#define STAYS 2
#define NEEDS_GONE GONE
