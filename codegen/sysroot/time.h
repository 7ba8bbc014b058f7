/* Stub: <time.h>; time_t has 64 bits on every target. */
#pragma once
#include <stddef.h>
typedef __INT64_TYPE__ time_t;
typedef long clock_t;
struct tm;
struct timespec;
