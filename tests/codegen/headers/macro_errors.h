#define UNKNOWN not_declared
#define WRONG_TYPE ("a" * 2)
#define OPEN (
#define CLOSE )
#define BEGIN {
#define USES_OPEN OPEN 3
#define STATEMENT int x = 3;
#define HASH #
#define DIVIDED (1 / 0)
#define AFTER_ALL 5
