enum permission {
    NONE = 0,
    READ = 1 << 0,
    WRITE = 1 << 1,
    ALL = READ | WRITE,
    HIGH = 1 << 30,
};
int may(enum permission p);
