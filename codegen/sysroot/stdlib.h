/* Stub: what parsed headers need of <stdlib.h> */
#pragma once
#include <stddef.h>
typedef struct { int quot, rem; } div_t;
typedef struct { long quot, rem; } ldiv_t;
void * malloc(size_t size);
void * calloc(size_t count, size_t size);
void * realloc(void * memory, size_t size);
void free(void * memory);
void abort(void);
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
