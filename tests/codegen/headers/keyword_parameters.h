void f(int as, int from, int async, int as_, int arg4, int, int None);
