typedef int (__attribute__((ms_abi)) *callback)(int x);
