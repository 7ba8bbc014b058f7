/* Stub: <wchar.h> */
#pragma once
#include <stddef.h>
#include <stdio.h>
typedef __WINT_TYPE__ wint_t;
typedef struct mbstate_t mbstate_t;
