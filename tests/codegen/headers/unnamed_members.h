struct holder {
    struct {
        int x;
        float y;
    } point;
    struct {
        char c;
    } rows[3];
    union {
        int i;
        float f;
    } grid[2][4];
    struct {
        int q;
    } * next;
    struct {
        int twice;
    } a, b;
};
void use(struct holder * h);
