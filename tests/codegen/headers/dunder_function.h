int __getattr__(const char * name);
