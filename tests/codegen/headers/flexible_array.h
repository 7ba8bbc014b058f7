struct tail {
    int n;
    int data[];
};
