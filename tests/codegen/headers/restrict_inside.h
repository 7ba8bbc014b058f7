void f(char * restrict * p);
