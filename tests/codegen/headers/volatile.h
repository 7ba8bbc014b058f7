void f(volatile int * p);
