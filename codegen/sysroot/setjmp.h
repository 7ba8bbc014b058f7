/* Stub: <setjmp.h>: only to be passed on */
#pragma once
struct jmp_buf_tag;
typedef struct jmp_buf_tag * jmp_buf;
