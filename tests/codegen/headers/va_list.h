void f(__builtin_va_list list);
