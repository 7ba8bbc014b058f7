typedef _Complex float complex_t;
struct inner { complex_t c; };
struct outer { struct inner inner; struct { int x; } made_up; };
typedef complex_t (*callback)(int x);
struct uses { callback call; };
int through(struct outer * o, struct uses * u);
int value(struct outer o);
int fine(int x);
