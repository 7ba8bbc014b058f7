typedef unsigned long size;
struct node { char c; long n; long double wide; size * next; };
long f(struct node node, unsigned long u, long * out);
