struct node {
    struct node * next;
    struct node * children[2];
    struct leaf * leaf;
    void (*free)(struct node * self);
    struct node (*copy)(struct node self);
};
struct leaf { struct node * parent; };
void push(struct node * n);
