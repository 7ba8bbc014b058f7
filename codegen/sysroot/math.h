/* Stub: <math.h> */
#pragma once
typedef float float_t;
typedef double double_t;
#define HUGE_VAL __builtin_huge_val()
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
