struct outer {
    int x;
    struct only_declared { char c; };
};
