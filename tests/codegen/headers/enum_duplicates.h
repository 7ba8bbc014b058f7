enum level { LOW = 1, FIRST = LOW, HIGH = 2, LAST = HIGH };
void f(enum level l);
