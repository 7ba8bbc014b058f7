/* Stub: <stdbool.h> for C11. In C++ and in later C the keywords are the language's own. */
#pragma once
#if !defined(__cplusplus) && !(defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define bool _Bool
#define true 1
#define false 0
#endif
