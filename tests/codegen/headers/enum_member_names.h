enum names { name = 1, value, mro, real, from_bytes, denominator };
void f(enum names n);
