typedef int (*compare)(const void * a, const void * b);
void sort(void * base, compare by);
void each(void (*visit)(int index, void * user), void * user);
struct table {
    int (*open)(const char * path);
    void (*close)(int handle);
    int (*handlers[3])(int);
};
compare pick(int which);
void tables(struct table * t);
