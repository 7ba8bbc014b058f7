#define DEPRECATED(func, hint) func __attribute__((deprecated(hint)))
void next(void);
DEPRECATED(void old(void), "use next instead");
DEPRECATED(void older(int x), "gone soon");
DEPRECATED(void vague(void), "use the new one");
void bare(void) __attribute__((deprecated));
DEPRECATED(void hostile(void), "use __import__('os').system(\"x\") \"\"\" instead");
DEPRECATED(void later(void), "use last");
void last(void);
