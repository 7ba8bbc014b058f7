enum mode { FAST };
int mode(enum mode m);
