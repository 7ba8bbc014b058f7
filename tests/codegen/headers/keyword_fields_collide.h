struct s {
    int async;
    int async_;
};
