#line 1000 "../../somewhere/else\"\"\".h"
int f(int x);
