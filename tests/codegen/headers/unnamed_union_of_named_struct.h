struct carrier {
    union {
        struct { int first; int second; } pair;
        long long whole;
    };
};
void carry(struct carrier * c);
