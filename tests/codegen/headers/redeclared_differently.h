int f(int x);
int f(float x);
