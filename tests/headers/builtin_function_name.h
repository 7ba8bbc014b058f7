int isinstance(int x);
