enum later;
void f(enum later * p);
