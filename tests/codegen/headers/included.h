#include "parts/part.h"
struct part get(part_id id);
