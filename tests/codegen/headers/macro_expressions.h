#define A 3
#define B (A << 2 | 1)
#define C (B > 10 ? A : -A)
#define D (sizeof(int) * A)
#define E sizeof(char)
#define F !A
#define LATER (AFTER + 1)
#define AFTER 9
