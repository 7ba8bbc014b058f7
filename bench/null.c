/* An engine that returns at once: what a program spends on it is its own share, not the model's.
 * tests/bench/build.py writes the rest, every other function of the API returning nothing. */

#include <stdlib.h>
#include <string.h>

#define N_VOCAB 49152
#define N_EMBD 64
#define N_CTX_TRAIN (1 << 20)

static char nothing[1 << 16];
static float logits[N_VOCAB];
static struct llama_context_params given;
static int n_past;   /* tokens in the KV cache */
static int n_chosen; /* tokens sampled */

/* For drafts: a decode takes NULL_ONE microseconds and NULL_MORE for each further token, but only on
 * this clock; and with NULL_WORDS the text is as good as random, of so many different tokens. */
long null_us;
static long variable(const char * name) {
    const char * value = getenv(name);
    return value ? atol(value) : 0;
}

struct llama_context * llama_init_from_model(struct llama_model * model, struct llama_context_params params) {
    (void) model;
    given = params;
    n_past = 0;
    return (struct llama_context *) nothing;
}

uint32_t llama_n_ctx(const struct llama_context * ctx) { (void) ctx; return given.n_ctx; }
uint32_t llama_n_ctx_seq(const struct llama_context * ctx) { (void) ctx; return given.n_ctx; }
uint32_t llama_n_batch(const struct llama_context * ctx) { (void) ctx; return given.n_batch; }
uint32_t llama_n_ubatch(const struct llama_context * ctx) { (void) ctx; return given.n_ubatch; }
uint32_t llama_n_seq_max(const struct llama_context * ctx) { (void) ctx; return given.n_seq_max; }
int32_t llama_n_threads(struct llama_context * ctx) { (void) ctx; return 1; }
int32_t llama_n_threads_batch(struct llama_context * ctx) { (void) ctx; return 1; }

struct llama_batch llama_batch_init(int32_t n_tokens, int32_t n_embd, int32_t n_seq_max) {
    (void) n_embd;
    struct llama_batch batch = {0};
    batch.token = calloc(n_tokens, sizeof(llama_token));
    batch.pos = calloc(n_tokens, sizeof(llama_pos));
    batch.n_seq_id = calloc(n_tokens, sizeof(int32_t));
    batch.logits = calloc(n_tokens, 1);
    batch.seq_id = calloc(n_tokens + 1, sizeof(llama_seq_id *));
    for (int i = 0; i < n_tokens; i++) batch.seq_id[i] = calloc(n_seq_max, sizeof(llama_seq_id));
    return batch;
}

int32_t llama_decode(struct llama_context * ctx, struct llama_batch batch) {
    (void) ctx;
    n_past += batch.n_tokens;
    null_us += variable("NULL_ONE") + variable("NULL_MORE") * (batch.n_tokens - 1);
    return 0;
}

float * llama_get_logits(struct llama_context * ctx) { (void) ctx; return logits; }
float * llama_get_logits_ith(struct llama_context * ctx, int32_t i) { (void) ctx; (void) i; return logits; }

llama_pos llama_memory_seq_pos_max(llama_memory_t memory, llama_seq_id id) {
    (void) memory; (void) id;
    return n_past - 1;
}

bool llama_memory_seq_rm(llama_memory_t memory, llama_seq_id id, llama_pos p0, llama_pos p1) {
    (void) memory; (void) id; (void) p1;
    n_past = p0 < 0 ? 0 : p0 < n_past ? p0 : n_past;
    if (!n_past) n_chosen = 0;
    return true;
}

void llama_memory_clear(llama_memory_t memory, bool data) { (void) memory; (void) data; n_past = n_chosen = 0; }

/* As plain greedy sampling does not: no look at the logits. */
llama_token llama_sampler_sample(struct llama_sampler * chain, struct llama_context * ctx, int32_t i) {
    (void) chain; (void) ctx; (void) i;
    long words = variable("NULL_WORDS");
    unsigned n = n_chosen++, mixed = n * 2654435761u;
    mixed = (mixed ^ mixed >> 15) * 0x85ebca6bu;
    return 300 + (words ? (mixed ^ mixed >> 13) % words : n % 200);
}

enum llama_vocab_type llama_vocab_type(const struct llama_vocab * vocab) { (void) vocab; return LLAMA_VOCAB_TYPE_BPE; }
int32_t llama_vocab_n_tokens(const struct llama_vocab * vocab) { (void) vocab; return N_VOCAB; }
llama_token llama_vocab_bos(const struct llama_vocab * vocab) { (void) vocab; return 1; }
llama_token llama_vocab_eos(const struct llama_vocab * vocab) { (void) vocab; return 2; }
bool llama_vocab_is_eog(const struct llama_vocab * vocab, llama_token token) { (void) vocab; return token == 2; }
int32_t llama_model_n_embd(const struct llama_model * model) { (void) model; return N_EMBD; }
int32_t llama_model_n_ctx_train(const struct llama_model * model) { (void) model; return N_CTX_TRAIN; }
int32_t llama_model_meta_val_str(const struct llama_model * model, const char * key, char * buf, size_t size) {
    (void) model; (void) key; (void) buf; (void) size;
    return -1;
}
bool llama_model_has_decoder(const struct llama_model * model) { (void) model; return true; }
size_t llama_max_devices(void) { return 1; }
size_t llama_max_parallel_sequences(void) { return 64; }
size_t ggml_backend_reg_count(void) { return 1; }

/* A token a byte. */
int32_t llama_tokenize(const struct llama_vocab * vocab, const char * text, int32_t n_text,
                       llama_token * tokens, int32_t room, bool special, bool parse) {
    (void) vocab; (void) special; (void) parse;
    if (n_text > room) return -n_text;
    for (int i = 0; i < n_text; i++) tokens[i] = 10 + (unsigned char) text[i];
    return n_text;
}

/* Words, and now and then a character in two pieces. */
int32_t llama_token_to_piece(const struct llama_vocab * vocab, llama_token token, char * buf,
                             int32_t room, int32_t lstrip, bool special) {
    (void) vocab; (void) lstrip; (void) special;
    const char * piece = token % 16 == 0 ? "\xc3" : token % 16 == 1 ? "\xa9" : " word";
    int n = (int) strlen(piece);
    if (n > room) return -n;
    memcpy(buf, piece, n);
    return n;
}
