enum numbers {
    ZERO,
    ONE,
    TEN = ONE * 10,
    ELEVEN,
    NEXT = TEN + (ELEVEN << 1) - 2,
    MASK = ~0 & 0xff,
    SIZE = sizeof(int),
    LETTER = 'a',
    TERNARY = ONE ? 7 : 8,
};
enum numbers get(void);
