enum { A = 1, B };
enum { C = 5 };
typedef enum { D, E } letter;
typedef enum { F = -3 } other, * other_ptr;
letter get(letter l, other o, other_ptr p);
struct s { letter l; letter ls[2]; };
void g(struct s s);
