enum small : unsigned char { ONLY };
void f(enum small s);
