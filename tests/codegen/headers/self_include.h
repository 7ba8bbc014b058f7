#pragma once
#include "self_include.h"
int f(void);
