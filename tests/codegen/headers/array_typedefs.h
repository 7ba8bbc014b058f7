typedef float vec3[3];
typedef struct { vec3 position; vec3 normal; } vertex;
typedef vertex triangle[3];
typedef triangle mesh[2];
struct scene { mesh meshes; const vec3 * up; triangle * extra; };
void draw(struct scene * s, vec3 eye);
typedef void (*visit)(triangle t);
