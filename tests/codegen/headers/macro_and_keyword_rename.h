#define None 1
#define None_ 2
