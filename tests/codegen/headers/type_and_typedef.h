struct node { int x; };
typedef struct node * node;
node next(node n, struct node by_value);
struct other;
typedef int other;
other f(struct other * o, other n);
