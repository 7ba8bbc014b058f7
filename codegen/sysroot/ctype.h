/* Stub: <ctype.h> declares functions only, which no header needs. */
#pragma once
