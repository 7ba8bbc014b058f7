/* Stub: <threads.h>: only to be passed on */
#pragma once
typedef struct thrd_t * thrd_t;
typedef struct mtx_t mtx_t;
typedef struct cnd_t cnd_t;
