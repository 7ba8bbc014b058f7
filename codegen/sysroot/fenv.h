/* Stub: <fenv.h>: only to be passed on */
#pragma once
typedef struct fenv_t fenv_t;
typedef unsigned short fexcept_t;
