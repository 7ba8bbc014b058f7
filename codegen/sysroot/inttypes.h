/* Stub: <inttypes.h>; its formats are the platform's. */
#pragma once
#include <stdint.h>
