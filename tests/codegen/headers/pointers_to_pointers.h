struct opaque;
struct item { int x; };
void a(int ** p, char ** argv, const char * const * names, struct opaque ** out, struct item *** deep, void ** any, const void ** some);
struct opaque ** list(void);
