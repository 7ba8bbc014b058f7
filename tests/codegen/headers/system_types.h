#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <wchar.h>
typedef void (*log_callback)(int level, const char * format, va_list list);
struct event { time_t at; struct tm * when; FILE * file; wchar_t text[4]; };
time_t passed(struct tm * when, clock_t ticks, wchar_t sign, const wchar_t * text);
int print(const char * format, va_list list);
int both(struct tm when);
void set(log_callback callback);
