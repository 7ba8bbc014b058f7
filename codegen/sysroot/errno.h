/* Stub: <errno.h>; its numbers are the platform's. */
#pragma once
