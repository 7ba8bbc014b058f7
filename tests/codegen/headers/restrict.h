void f(char * restrict a, const char * restrict b);
