struct outer {
    struct {
        int x, y;
    };
    int z;
};
struct outer get(struct outer o);
