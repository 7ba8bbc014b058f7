struct s {
    enum { LOOSE = 4, LOOSER } ;
    int x;
};
void f(struct s * s);
