enum odd { ANY = -1, FIRST = 1 << 0, SECOND = 1 << 1 };
void f(enum odd o);
