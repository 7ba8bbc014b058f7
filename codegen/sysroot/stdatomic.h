/* Stub: <stdatomic.h>; atomic types have no form in ctypes. */
#pragma once
typedef _Atomic(_Bool) atomic_bool;
typedef _Atomic(int) atomic_int;
typedef _Atomic(unsigned) atomic_uint;
typedef _Atomic(__SIZE_TYPE__) atomic_size_t;
