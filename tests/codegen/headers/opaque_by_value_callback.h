struct model;
typedef struct model (*make)(void);
