int answer(void);
#define answer 42
