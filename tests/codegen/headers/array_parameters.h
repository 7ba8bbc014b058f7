typedef int quad[4];
void take(int a[], int b[3], int c[2][3], const char * argv[], const quad q, char buffer[static 4]);
void vla(int n, int rows[n]);
