struct inner { int a; char b; };
struct outer {
    struct inner first;
    struct inner many[2];
    struct inner * link;
};
struct outer swap(struct outer o);
