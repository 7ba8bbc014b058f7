#pragma pack(push, 2)
struct s {
    char c;
    int i;
};
#pragma pack(pop)
