int __attribute__((ms_abi)) f(int x);
