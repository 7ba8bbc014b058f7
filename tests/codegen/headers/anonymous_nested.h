struct deep {
    char kind;
    union {
        struct {
            short a;
            union {
                int b;
                float c;
            };
        };
        long long d;
    };
};
struct deep * make(void);
