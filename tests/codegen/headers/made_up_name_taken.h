struct box_lid { int x; };
struct box {
    struct { int y; } lid;
};
