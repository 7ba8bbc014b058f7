struct __doc__ { int x; };
void f(struct __doc__ d);
