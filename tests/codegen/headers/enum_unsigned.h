enum top {
    TOP_BIT = 0x80000000,
};
