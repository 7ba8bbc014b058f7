struct tagged {
    int tag;
    union {
        int i;
        double d;
        char text[16];
    };
};
void take(const struct tagged * value);
