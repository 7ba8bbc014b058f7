#define LETTER 'a'
#define NEWLINE '\n'
#define QUOTE '\''
#define HIGH '\xff'
