struct RED { int x; };
enum colour { RED, colour_count };
void f(struct RED r, enum colour c);
