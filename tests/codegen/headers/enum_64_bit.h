enum big {
    SMALL = 1,
    HUGE_ONE = 0x100000000,
};
