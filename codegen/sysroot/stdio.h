/* Stub: the parsed headers only pass FILE pointers on, so FILE stays opaque. */
#pragma once
typedef struct FILE FILE;
