#pragma pack(push, 1)
struct small { char c; short s; };
struct holds { char c; struct small inner; union { int i; float f; }; };
#pragma pack(pop)
struct around { char c; struct holds h; int x; };
int by_pointer(struct around * a);
int by_value(struct small s);
int inside(struct around a);
