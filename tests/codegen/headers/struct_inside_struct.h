struct outer {
    struct inner {
        int x;
    } one;
    enum colour { RED, GREEN } paint;
    enum { SMALL = 1, LARGE = 9 } size;
};
struct inner take(struct inner i, enum colour c);
void mix(struct outer * o);
