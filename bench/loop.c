/* What the measures compare with: the same work as in tests/bench/ours.py, written in C.
 *
 *   loop TASK MODEL THREADS N TEXT
 *
 * It loads, works once, and prints "ready" with a fingerprint of what came out. Then it works once
 * for each line that it reads, and prints the seconds that one unit took: a token, a text, or all.
 * Loading is not in these. */

#include "llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOM (1 << 22)
#define MAX_SEQ 64

static struct llama_model * model;
static const struct llama_vocab * vocab;
static struct llama_context * ctx;
static llama_memory_t memory;
static struct llama_sampler * chain;
static const char * text, * path_model;
static int n_text, n_units;
static llama_token * tokens;
static int n_tokens;
static char * out;
static unsigned fingerprint;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* of one thread that only computes: what other programs take of the machine does not count */
static double cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void fail(const char * what) {
    fprintf(stderr, "loop: %s failed\n", what);
    exit(1);
}

static void quiet(enum ggml_log_level level, const char * line, void * data) {
    (void) data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(line, stderr);
}

static void mark(unsigned value) { fingerprint = fingerprint * 31 + value; }

static void decode(struct llama_batch batch) {
    if (llama_decode(ctx, batch) != 0) fail("llama_decode");
}

static void tokenize(bool special) {
    n_tokens = llama_tokenize(vocab, text, n_text, tokens, ROOM, special, false);
    if (n_tokens < 0) fail("llama_tokenize");
}

/* simple.cpp: decode, sample, print; seconds a token, the prompt's included */
static double generate(void) {
    llama_memory_clear(memory, false);
    llama_sampler_reset(chain);
    int n = 0, filled = 0;
    double begun = now();
    tokenize(true);
    decode(llama_batch_get_one(tokens, n_tokens));
    while (true) {
        llama_token token = llama_sampler_sample(chain, ctx, -1);
        if (llama_vocab_is_eog(vocab, token)) break;
        char piece[128];
        int size = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
        if (size < 0) fail("llama_token_to_piece");
        memcpy(out + filled, piece, size);
        filled += size;
        if (++n == n_units) break;
        decode(llama_batch_get_one(&token, 1));
    }
    double seconds = now() - begun;
    for (int i = 0; i < filled; i++) mark((unsigned char) out[i]);
    return seconds / n;
}

/* the prompt at once; seconds a token */
static double prompt(void) {
    tokenize(true);
    if (n_tokens < n_units) fail("a long enough text");
    llama_memory_clear(memory, false);
    double begun = now();
    decode(llama_batch_get_one(tokens, n_units));
    double seconds = now() - begun;
    mark(llama_sampler_sample(chain, ctx, -1));
    return seconds / n_units;
}

/* n_units sequences, 32 tokens each; seconds a token, the prompts' not counted as such */
static double parallel(void) {
    tokenize(true);
    llama_memory_clear(memory, false);
    struct llama_batch batch = llama_batch_init(n_tokens > n_units ? n_tokens : n_units, 0, 1);
    llama_token chosen[MAX_SEQ];
    double begun = now();
    for (int s = 0; s < n_units; s++) {
        batch.n_tokens = n_tokens;
        for (int i = 0; i < n_tokens; i++) {
            batch.token[i] = tokens[i];
            batch.pos[i] = i;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = s;
            batch.logits[i] = i == n_tokens - 1;
        }
        decode(batch);
        chosen[s] = llama_sampler_sample(chain, ctx, -1);
    }
    for (int step = 0; step < 32; step++) {
        batch.n_tokens = n_units;
        for (int s = 0; s < n_units; s++) {
            batch.token[s] = chosen[s];
            batch.pos[s] = n_tokens + step;
            batch.n_seq_id[s] = 1;
            batch.seq_id[s][0] = s;
            batch.logits[s] = true;
        }
        decode(batch);
        for (int s = 0; s < n_units; s++) {
            char piece[128];
            chosen[s] = llama_sampler_sample(chain, ctx, s);
            if (llama_token_to_piece(vocab, chosen[s], piece, sizeof piece, 0, false) < 0) {
                fail("llama_token_to_piece");
            }
            mark(chosen[s]);
        }
    }
    double seconds = now() - begun;
    llama_batch_free(batch);
    return seconds / (32 * n_units);
}

static double tokenize_all(void) {
    double begun = cpu_now();
    tokenize(false);
    double seconds = cpu_now() - begun;
    mark(n_tokens);
    return seconds;
}

static double detokenize_all(void) {
    if (n_tokens == 0) tokenize(false);
    double begun = cpu_now();
    int size = llama_detokenize(vocab, tokens, n_tokens, out, ROOM, false, true);
    double seconds = cpu_now() - begun;
    if (size < 0) fail("llama_detokenize");
    mark(size);
    return seconds;
}

static double pieces(void) {
    if (n_tokens == 0) tokenize(false);
    int filled = 0;
    double begun = cpu_now();
    for (int i = 0; i < n_tokens; i++) {
        int size = llama_token_to_piece(vocab, tokens[i], out + filled, ROOM - filled, 0, true);
        if (size < 0) fail("llama_token_to_piece");
        filled += size;
    }
    double seconds = cpu_now() - begun;
    mark(filled);
    return seconds;
}

/* a text a line, as many in a decode as there is room for; seconds a text */
static double embed(void) {
    int n_embd = llama_model_n_embd(model), n_batch = llama_n_batch(ctx), n = 0;
    float * found = malloc(sizeof(float) * n_embd * n_units);
    struct llama_batch batch = llama_batch_init(n_batch, 0, 1);
    const char * line = text;
    int n_seq = 0;
    double begun = now();
    while (n + n_seq < n_units) {
        const char * end = strchr(line, '\n');
        n_tokens = llama_tokenize(vocab, line, (int) (end - line), tokens, ROOM, true, false);
        if (n_tokens < 0) fail("llama_tokenize");
        bool full = batch.n_tokens + n_tokens > n_batch || n_seq == MAX_SEQ;
        if (!full) {
            for (int i = 0; i < n_tokens; i++) {
                int at = batch.n_tokens++;
                batch.token[at] = tokens[i];
                batch.pos[at] = i;
                batch.n_seq_id[at] = 1;
                batch.seq_id[at][0] = n_seq;
                batch.logits[at] = true;
            }
            n_seq++;
            line = end + 1;
        }
        if (full || n + n_seq == n_units) {
            llama_memory_clear(memory, false);
            decode(batch);
            for (int s = 0; s < n_seq; s++, n++) {
                const float * row = llama_get_embeddings_seq(ctx, s);
                double sum = 0;
                for (int i = 0; i < n_embd; i++) sum += (double) row[i] * row[i];
                float scale = sum > 0 ? (float) (1 / sqrt(sum)) : 0;
                int most = 0;
                for (int i = 0; i < n_embd; i++) {
                    found[n * n_embd + i] = row[i] * scale;
                    if (row[i] > row[most]) most = i;
                }
                mark(most);
            }
            batch.n_tokens = n_seq = 0;
        }
    }
    double seconds = now() - begun;
    llama_batch_free(batch);
    free(found);
    return seconds / n_units;
}

/* bytes in memory after some tokens */
static double resident(void) {
    generate();
    FILE * file = fopen("/proc/self/statm", "r");
    long total, pages;
    if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2) fail("/proc/self/statm");
    fclose(file);
    return pages * 4096.0;
}

/* the model a second time; seconds */
static double load(void) {
    double begun = now();
    struct llama_model * second = llama_model_load_from_file(path_model, llama_model_default_params());
    double seconds = now() - begun;
    if (!second) fail("loading the model");
    mark(llama_vocab_n_tokens(llama_model_get_vocab(second)));
    llama_model_free(second);
    return seconds;
}

static char * read_all(const char * path, int * size) {
    FILE * file = fopen(path, "rb");
    if (!file) fail(path);
    char * data = calloc(1, ROOM);
    *size = (int) fread(data, 1, ROOM - 1, file);
    fclose(file);
    return data;
}

int main(int argc, char ** argv) {
    if (argc != 6) fail("reading the arguments");
    const char * task = argv[1];
    static const struct { const char * name; double (*run)(void); } tasks[] = {
        {"generate", generate}, {"prompt", prompt}, {"parallel", parallel},
        {"tokenize", tokenize_all}, {"detokenize", detokenize_all}, {"pieces", pieces},
        {"embed", embed}, {"memory", resident}, {"load", load},
    };
    double (*run)(void) = NULL;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (strcmp(task, tasks[i].name) == 0) run = tasks[i].run;
    }
    if (!run) fail("finding the task");
    n_units = atoi(argv[4]);
    text = read_all(argv[5], &n_text);
    tokens = malloc(sizeof(llama_token) * ROOM);
    out = malloc(ROOM);

    llama_log_set(quiet, NULL);
    llama_backend_init();
    path_model = argv[2];
    model = llama_model_load_from_file(path_model, llama_model_default_params());
    if (!model) fail("loading the model");
    vocab = llama_model_get_vocab(model);

    struct llama_context_params params = llama_context_default_params();
    params.n_threads = params.n_threads_batch = atoi(argv[3]);
    params.n_ctx = 4096;
    if (run == parallel) params.n_seq_max = n_units;
    if (run == embed) {
        params.embeddings = true;
        params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
        params.n_seq_max = MAX_SEQ;
        params.n_batch = params.n_ubatch = 512;
        params.kv_unified = true;
    }
    ctx = llama_init_from_model(model, params);
    if (!ctx) fail("making the context");
    memory = llama_get_memory(ctx);
    chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_greedy());

    run();
    printf("ready %u\n", fingerprint);
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        printf("%.9f\n", run());
        fflush(stdout);
    }
    return 0;
}
