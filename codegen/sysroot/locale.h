/* Stub: <locale.h> */
#pragma once
struct lconv;
