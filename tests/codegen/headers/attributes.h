__attribute__((something_new)) int f(int x);
int g(void) __attribute__((const, unknown("text")));
[[nodiscard]] int h(void);
struct __attribute__((may_alias)) s { int x __attribute__((unheard_of)); };
_Noreturn void stop(void);
struct s get(void);
