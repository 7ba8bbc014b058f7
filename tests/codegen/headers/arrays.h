struct arrays {
    char name[16];
    int numbers[4];
    float grid[2][3];
    const char * names[2];
    void * pointers[5];
    char lines[2][8];
    unsigned char bytes[1];
};
struct arrays copy(struct arrays a);
