int print(const char * format, ...) __attribute__((__format__(__printf__, 1, 2)));
typedef void (*log)(int level, const char * format, ...);
void set_log(log l);
