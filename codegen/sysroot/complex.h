/* Stub: <complex.h>, for the keyword alone */
#pragma once
#define complex _Complex
