#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct all {
    bool a; char b; signed char c; unsigned char d; short e; unsigned short f; int g; unsigned h;
    long long i; unsigned long long j; float k; double l; size_t m; ptrdiff_t n; intptr_t o; uintptr_t p;
    int8_t q; int16_t r; int32_t s; int64_t t; uint8_t u; uint16_t v; uint32_t w; uint64_t x;
};
struct all f(struct all a, bool b, char c, signed char d, unsigned char e, short g, unsigned short h, size_t i, ptrdiff_t j, uint8_t k, int64_t l);
