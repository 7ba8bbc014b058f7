typedef void (*done)(int status);
typedef done (*chain)(done next, void (*also)(done));
void go(chain c);
