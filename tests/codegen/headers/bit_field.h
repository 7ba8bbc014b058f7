struct bits {
    unsigned low : 3;
    unsigned high : 5;
};
