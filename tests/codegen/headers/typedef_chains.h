#include <stdint.h>
typedef int32_t token;
typedef token id;
typedef id * ids;
typedef ids * more;
typedef struct thing thing;
typedef thing other;
typedef other * handle;
struct real { id i; };
typedef struct real real;
typedef real alias;
typedef alias again;
typedef void nothing;
id f(ids a, more b, handle c, again d, alias * e, other * g);
nothing h(nothing * p);
