void f(_Atomic int * x);
