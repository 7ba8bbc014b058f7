enum kind { A };
enum kind kind(void);
struct item { int x; };
struct item item(struct item * i);
struct handle;
struct handle * handle(int n);
