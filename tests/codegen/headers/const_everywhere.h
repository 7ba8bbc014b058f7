typedef const char * text;
typedef const int fixed;
typedef char letters;
struct s {
    const int a;
    const char * b;
    char * const c;
    const char * const d;
    const int e[3];
    const void * f;
    fixed g;
    const struct s * h;
};
const int f(const int a, const char * const b, char * const * c, fixed * d, const letters * e, letters * g, text h, const text * i);
const struct s * get(const struct s s);
