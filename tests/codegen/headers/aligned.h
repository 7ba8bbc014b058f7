struct s { _Alignas(32) int x; };
