typedef int wide __attribute__((aligned(16)));
struct s { char c; wide w; };
