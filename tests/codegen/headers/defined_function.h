int bound(int x);
__attribute__((weak)) int weak(int x) { return x; }
