void warnings(void);
