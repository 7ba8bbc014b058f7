void f(long double x);
