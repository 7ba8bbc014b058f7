enum hidden { __dunder = 1 };
