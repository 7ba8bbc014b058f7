enum status { FAILED = -2, WEAK, OK, TOP = 2147483647, BOTTOM = -2147483647 - 1 };
enum status f(enum status s);
