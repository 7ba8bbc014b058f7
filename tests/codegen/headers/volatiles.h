typedef volatile int flag;
struct device { volatile unsigned status; const volatile char * text; flag * flags; };
int poll(struct device * d, volatile const int * p, flag * q);
