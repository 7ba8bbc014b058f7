struct state { float mean; float m2; };
typedef float (*step)(struct state s, int n);
float run(step f, struct state s);
