/* A libllama of tomorrow for tests/test_new_upstream.py: the real one, with a context parameter and
 * a sampler more. The header that it is compiled with has both. */

#define _GNU_SOURCE
#include "llama.h"

#include <dlfcn.h>
#include <stdlib.h>

int32_t llama_last_n_foresight = -1; /* for the test to read */

struct llama_context_params llama_context_default_params(void) {
    struct llama_context_params (*real)(void) = dlsym(RTLD_NEXT, "llama_context_default_params");
    struct llama_context_params params = real(); /* which writes its part of it */
    params.n_foresight = 7;
    return params;
}

struct llama_context * llama_init_from_model(struct llama_model * model, struct llama_context_params params) {
    struct llama_context * (*real)(struct llama_model *, struct llama_context_params) =
        dlsym(RTLD_NEXT, "llama_init_from_model");
    llama_last_n_foresight = params.n_foresight;
    return real(model, params); /* which reads its part of what lies on the stack */
}

static const char * name(const struct llama_sampler * smpl) {
    (void) smpl;
    return "steady";
}

static void apply(struct llama_sampler * smpl, llama_token_data_array * cur_p) {
    for (size_t i = 0; i < cur_p->size; i++) {
        cur_p->data[i].logit = cur_p->data[i].id == *(llama_token *) smpl->ctx ? 1.0f : 0.0f;
    }
}

static void release(struct llama_sampler * smpl) {
    free(smpl->ctx);
}

struct llama_sampler * llama_sampler_init_steady(llama_token token) {
    static struct llama_sampler_i iface = { .name = name, .apply = apply, .free = release };
    llama_token * own = malloc(sizeof(*own));
    *own = token;
    return llama_sampler_init(&iface, own);
}
