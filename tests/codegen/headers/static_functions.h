static int helper(int x) { return x; }
int bound(int x);
