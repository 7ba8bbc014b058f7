struct task {
    int async;
    int await;
    int None;
    int in;
    int match;
    union {
        int is;
        float lambda;
    };
};
struct task * get(void);
