struct s {
    int anonymous_0;
    struct { int x; };
};
