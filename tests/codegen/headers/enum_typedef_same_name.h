typedef enum color { RED, GREEN = 4 } color;
struct paint { color outer; enum color inner[2]; };
color mix(color a, enum color b, color * out, struct paint p);
typedef color (*choose)(color c);
typedef color shade;
shade darker(shade s);
