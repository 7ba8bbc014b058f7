typedef int operation(int a, float b);
typedef operation * pointer;
typedef pointer again;
operation declared;
void take(operation f, operation * g, pointer h, again i, int inline_one(int), pointer * out);
struct s { operation * op; pointer p; };
void use(struct s s);
