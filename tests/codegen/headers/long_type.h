long f(long x);
