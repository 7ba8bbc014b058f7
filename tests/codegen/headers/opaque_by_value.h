struct model;
void take(struct model m);
