/* Stub: GCC has this header in terms of itself. */
#pragma once
