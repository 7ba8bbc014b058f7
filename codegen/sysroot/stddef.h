/* Stub: what the parsed headers need of <stddef.h>, from the compiler's own predefined types. */
#pragma once
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
#ifndef __cplusplus
typedef __WCHAR_TYPE__ wchar_t;
#endif
typedef struct { long long whole; long double wide; } max_align_t;
#define NULL ((void *) 0)
#define offsetof(type, member) __builtin_offsetof(type, member)
