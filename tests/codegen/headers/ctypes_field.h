struct s { int _fields_; };
