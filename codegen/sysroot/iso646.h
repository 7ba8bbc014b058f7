/* Stub: <iso646.h>; in C++ these are keywords. */
#pragma once
#ifndef __cplusplus
#define and &&
#define or ||
#define not !
#endif
