union number { int i; float f; };
struct wrapped { union number n; };
void a(union number n);
struct wrapped b(void);
void c(union number * n);
