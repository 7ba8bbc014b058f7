union number { int i; float f; };
typedef void (*callback)(union number n);
