struct tail {
    int n;
    int data[0];
};
void use(struct tail * t);
