struct model;
typedef struct context context;
typedef struct sampler * sampler_t;
union variant;
struct model * load(const char * path);
void free_all(struct model * m, context * c, sampler_t s, const struct model * k, union variant * v);
