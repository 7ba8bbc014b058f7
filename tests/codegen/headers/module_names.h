#define TAG 1
#define Structure "s"
struct Function { int x; };
enum CFUNCTYPE { FUNCTIONS, DeprecationWarning };
#define _enum 4
typedef int c_int;
typedef int (*POINTER)(int name);
struct warnings;
struct globals { struct warnings * DEFAULTS; int int_; };
struct Function f(struct Function c_void_p, c_int len, POINTER self, enum CFUNCTYPE function, struct globals * str);
