struct s { int größe; };
