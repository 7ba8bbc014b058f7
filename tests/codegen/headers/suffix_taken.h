enum kind { A };
int kind_enum(void);
int kind(void);
