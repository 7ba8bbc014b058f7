/* Stub: <wctype.h> */
#pragma once
#include <wchar.h>
