/* Stub: <tgmath.h> */
#pragma once
#include <math.h>
