"""Wrong use, and what it has to end in: the table of test_misuse.py and of misuse.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.misuse.rows import UPPER, Row
from tests.support.patience import patience
from tests.support.python import ROOT

_TOGETHER = 20
_SECONDS = 180.0
_MARK = "\x1e"

PREPARE = """
import asyncio, gc, json, logging, os, socket, sys, threading
from llama_cpp import *
from llama_cpp import _raw
M, T, FOLDER = sys.argv[1:4]
chain = LlamaSampler.chain
def load(**keywords): return LlamaModel.from_file(M, **keywords)
def ctx(**keywords): return LlamaContext(load(), **{"n_ctx": 256, **keywords})
def tiny(): return LlamaModel.from_file(T)
def small(model=None, **keywords):
    return LlamaContext(model or tiny(), **{"n_ctx": 64, "n_threads": 1, **keywords})
def llm(): return Llama(tiny(), n_ctx=64, n_threads=1)
def sample(make, n=4, **keywords):
    c = ctx(**keywords)
    sampler = make(c.model)
    c.decode(c.model.tokenize("Hello my name is"))
    for _ in range(n):
        token = sampler.sample(c)
        c.decode([token])
class Custom:
    def __init__(self, act): self.apply = act
def elsewhere(act):
    caught = []
    def run():
        try: act()
        except BaseException as error: caught.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if caught: raise caught[0]
def wait(it):
    async def run(): return await it
    return asyncio.run(run())
def alm(**keywords): return AsyncLlama(T, **{"n_ctx": 64, "n_threads": 1, **keywords})
def agent(*args, **keywords):
    with socket.socket() as s:  # nobody listens there
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
    return LlamaAgent(*args or (url,), **{"retries": 0, **keywords})
def draft(**keywords): return DraftModel(tiny(), **{"n_ctx": 64, "n_threads": 1, **keywords})
class Draft:
    def __init__(self, act): self.draft = act
    def __repr__(self): return "<Draft>"
class Handler(logging.Handler):
    def __init__(self, act): super().__init__(); self.emit, self.busy = act, False
def logged(act, do=tiny):
    log, handler = logging.getLogger("llama_cpp"), Handler(act)
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try: do()
    finally: log.removeHandler(handler)
INF = float("inf")
names = dict(globals())
for code in json.loads(sys.argv[4]):
    try:
        exec(code, dict(names))
    except BaseException as error:
        end = [type(error).__name__, str(error)]
    else:
        end = ["nothing", ""]
    gc.collect()
    sys.stderr.flush()
    os.write(2, b"\\x1e")
    print(json.dumps(end), flush=True)
"""


ROWS = [
    # the model's file and parameters
    Row("LlamaModel.from_file('/no/such.gguf')", "FileNotFoundError", "/no/such.gguf"),
    Row("LlamaModel.from_file('examples')", "LlamaModelError", "is a folder"),
    Row("LlamaModel.from_file('README.md')", "LlamaModelError", "not a GGUF file"),
    Row("LlamaModel.from_file('/dev/null')", "LlamaModelError", "empty"),
    Row("LlamaModel.from_file(None)", "TypeError", "NoneType"),
    Row("LlamaModel.from_file('a\\0b')", "ValueError", "null byte"),
    Row("load(n_gpu_layer=1)", "TypeError", "did you mean 'n_gpu_layers'"),
    Row("load(progress_callback=1)", "TypeError", "C pointer"),
    Row("load(devices=1)", "TypeError", "devices must be a list"),
    Row("load(devices='CPU')", "TypeError", "devices must be a list"),
    Row("load(devices=['Q0'])", "ValueError", "there is no device 'Q0'; there are CPU"),
    Row("load(devices=[0])", "TypeError", "LlamaDevice or names"),
    Row("load(devices=['CPU', 'CPU'])", "ValueError", "'CPU' twice"),
    Row("load(devices=['CPU'], split_mode=3)", "LlamaModelError", "SPLIT_MODE_TENSOR"),
    Row("load(kv_overrides=5)", "TypeError", "kv_overrides must be a mapping"),
    Row("load(kv_overrides={'': 5})", "ValueError", "1 to 127 bytes"),
    Row("load(kv_overrides={'k' * 128: 5})", "ValueError", "1 to 127 bytes"),
    Row("load(kv_overrides={'k': 'v' * 128})", "ValueError", "at most 127 bytes"),
    Row("load(kv_overrides={'k': 'a\\0b'})", "ValueError", "NUL"),
    Row("load(kv_overrides={'k': 2**32})", "ValueError", "4294967296 is outside"),
    Row("load(kv_overrides={'k': -1})", "ValueError", "-1 is outside"),
    Row("load(kv_overrides={'k': INF})", "ValueError", "finite"),
    Row("load(kv_overrides={'k': [1]})", "TypeError", "bool, int, float or str"),
    Row("load(kv_overrides={5: 1})", "TypeError", "expected a string"),
    Row("load(kv_overrides={'split.count': 2})", "ValueError", "split"),
    Row("load(kv_overrides={'llama.block_count': 0})", "LlamaModelError", "n_layer_all"),
    Row("load(kv_overrides={'llama.expert_count': 3})", "LlamaModelError", "n_expert_used"),
    Row("load(kv_overrides={'x.epsilon': -1.0})", "ValueError", "negative"),
    Row("load(kv_overrides={'general.architecture': 'nothing'})", "LlamaModelError", "nothing"),
    Row("load(tensor_buft_overrides=5)", "TypeError", "must be a mapping"),
    Row("load(tensor_buft_overrides={'a': 'Q0'})", "ValueError", "no buffer type 'Q0'"),
    Row("load(tensor_buft_overrides={'(': 'CPU'})", "ValueError", "'(' is no regular expression"),
    Row("load(tensor_buft_overrides={'(?<=a)b': 'CPU'})", "LlamaModelError", "could not be loaded"),
    Row("load(tensor_buft_overrides={'('*999+')'*999: 'CPU'})", "ValueError", "recursion"),
    Row("load(tensor_buft_overrides={'x' * 2001: 'CPU'})", "ValueError", "2001 bytes"),
    Row("load(tensor_buft_overrides={str(i): 'CPU' for i in range(4096)})", "ValueError", "4096"),
    Row("LlamaModel.from_file([])", "ValueError", "empty"),
    Row("LlamaModel.from_file([M, '/no/such.gguf'])", "FileNotFoundError", "/no/such.gguf"),
    Row("LlamaModel.from_file([M, M])", "LlamaModelError", "no split.no"),
    Row("LlamaModel.from_file([M])", "nothing", ""),
    Row("LlamaModel.from_file([5])", "TypeError", "int"),
    Row("LlamaModel.from_file(M, vocab_only=True).n_head", "nothing", ""),
    Row("devices('libllama.so')", "TypeError", "LlamaLibrary"),
    Row("load(n_gpu_layers='all')", "TypeError", "n_gpu_layers must be an integer"),
    Row("load(n_gpu_layers=2**31)", "ValueError", "n_gpu_layers=2147483648"),
    Row("load(split_mode=9)", "ValueError", "LLAMA_SPLIT_MODE_ROW"),
    Row("load(split_mode=3)", "LlamaModelError", "SPLIT_MODE_TENSOR"),
    Row("load(load_mode=77)", "ValueError", "LLAMA_LOAD_MODE_MMAP"),
    Row("load(lazy_mode=9)", "ValueError", "LLAMA_LAZY_MODE_OFF"),
    Row("load(no_alloc=True)", "ValueError", "vocab_only"),
    Row("load(vocab_only='yes')", "TypeError", "vocab_only must be True or False"),
    Row("load(tensor_split=[1] * 1000)", "ValueError", "1000 values"),
    Row("load(tensor_split=[-1.0])", "ValueError", "0 or more"),
    Row("load(tensor_split=['1'])", "TypeError", "tensor_split must be a number"),
    Row("load(progress=5)", "TypeError", "progress must be callable"),
    Row("load(progress=lambda done: False)", "LlamaCancelled", "stopped"),
    Row("load(progress=lambda done: 1 / 0)", "ZeroDivisionError", ""),
    Row("load(library='libllama.so')", "TypeError", "LlamaLibrary"),
    # the context's parameters
    Row("LlamaContext(M)", "TypeError", "expected a LlamaModel"),
    Row("LlamaContext(load(vocab_only=True))", "LlamaContextError", "vocab_only"),
    Row("ctx(n_contexts=5)", "TypeError", "did you mean 'n_ctx'"),
    Row("ctx(cb_eval=None)", "TypeError", "C pointer"),
    Row("ctx(n_batch=0)", "ValueError", "n_batch=0 is outside"),
    Row("ctx(n_batch=-1)", "ValueError", "n_batch=-1"),
    Row("ctx(n_batch=2**32 - 1, attention_type=1)", "ValueError", "n_batch=4294967295"),
    Row("ctx(n_ubatch=0)", "ValueError", "n_ubatch=0"),
    Row("ctx(n_ctx=2**32 - 1)", "ValueError", "n_ctx=4294967295 is outside"),
    Row("ctx(n_ctx=2**31 - 2**16)", "LlamaContextError", "fit=True"),
    Row("ctx(n_ctx=-1)", "ValueError", "n_ctx=-1"),
    Row("ctx(n_ctx=1.5)", "TypeError", "n_ctx must be an integer"),
    Row("ctx(n_seq_max=0)", "ValueError", "n_seq_max=0"),
    Row("ctx(n_seq_max=257)", "ValueError", "n_seq_max=257 is more than"),
    Row("ctx(n_seq_max=8, n_batch=4)", "ValueError", "n_batch=4"),
    Row("ctx(n_seq_max=8, n_ctx=4)", "ValueError", "n_ctx=4"),
    Row("ctx(n_seq_max=8, n_outputs_max=2)", "ValueError", "n_outputs_max=2"),
    Row("ctx(n_threads=0)", "ValueError", "n_threads must be 1 to 512"),
    Row("ctx(n_threads_batch=-3)", "ValueError", "n_threads_batch must be"),
    Row("ctx(n_threads=513)", "ValueError", "n_threads must be 1 to 512"),
    Row("ctx(type_k=_raw.GGML_TYPE_COUNT)", "ValueError", "type_k=GGML_TYPE_COUNT"),
    Row("ctx(type_k=_raw.GGML_TYPE_I32)", "ValueError", "GGML_TYPE_Q8_0"),
    Row("ctx(type_v=_raw.GGML_TYPE_F64)", "ValueError", "type_v=GGML_TYPE_F64"),
    Row("ctx(type_k=_raw.GGML_TYPE_Q8_1)", "ValueError", "type_k=GGML_TYPE_Q8_1"),
    Row("ctx(type_k=_raw.GGML_TYPE_IQ1_S, flash_attn_type=0)", "ValueError", "IQ1_S"),
    Row("ctx(type_k=4)", "ValueError", "type_k=4 is not one of"),
    Row("ctx(type_v=_raw.GGML_TYPE_Q8_0, flash_attn_type=0)", "LlamaContextError", "flash_attn"),
    Row("ctx(ctx_type=1)", "LlamaContextError", "MTP"),
    Row("ctx(ctx_type=2)", "ValueError", "LLAMA_CONTEXT_TYPE_MTP"),
    Row("ctx(pooling_type=99)", "ValueError", "LLAMA_POOLING_TYPE_MEAN"),
    Row("ctx(attention_type=7)", "ValueError", "LLAMA_ATTENTION_TYPE_CAUSAL"),
    Row("ctx(flash_attn_type=3)", "ValueError", "LLAMA_FLASH_ATTN_TYPE_AUTO"),
    Row("ctx(rope_scaling_type=9)", "ValueError", "LLAMA_ROPE_SCALING_TYPE_YARN"),
    Row("ctx(rope_freq_scale=-1.0)", "ValueError", "rope_freq_scale=-1.0"),
    Row("ctx(rope_freq_base=INF)", "ValueError", "rope_freq_base=inf"),
    Row("ctx(rope_freq_base=float('nan'))", "TypeError", "not nan"),
    Row("ctx(yarn_ext_factor=1e38)", "ValueError", "yarn_ext_factor="),
    Row("ctx(yarn_orig_ctx=2**32 - 1)", "ValueError", "yarn_orig_ctx"),
    # batches
    Row("ctx().decode([])", "ValueError", "no tokens"),
    Row("ctx().decode(LlamaBatch([]))", "ValueError", "no tokens"),
    Row("ctx().decode('text')", "TypeError", "must be integers"),
    Row("ctx().decode([1.5])", "TypeError", "must be integers"),
    Row("ctx().decode([None])", "TypeError", "must be integers"),
    Row("ctx().decode(5)", "TypeError", "must be integers"),
    Row("ctx().decode([-1])", "ValueError", "token -1 is not in the vocabulary"),
    Row("ctx().decode([1, 10**6])", "ValueError", "token 1000000"),
    Row("ctx().decode([2**40])", "ValueError", "32 bits"),
    Row("ctx(n_batch=8).decode(LlamaBatch([1] * 9, logits=True))", "ValueError", "n_batch=8"),
    Row("ctx().decode([1] * 300)", "LlamaDecodeError", "no room"),
    Row("ctx(attention_type=1, n_ubatch=2).decode([1, 2, 3])", "ValueError", "n_ubatch=2"),
    Row("ctx().decode(LlamaBatch([1], seq_id=1))", "ValueError", "seq_id 1 is not 0 to 0"),
    Row("ctx().decode(LlamaBatch([1], seq_id=-1))", "ValueError", "seq_id -1"),
    Row("LlamaBatch([1]).seq_ids = None", "AttributeError", "no seq_ids to be set: make another"),
    Row(
        "class B(LlamaBatch): __len__ = lambda self: 1\n"
        "c = ctx(n_batch=32); c.decode(B([1] * 64)); c.memory.seq_pos_max()",
        "nothing",
        "",
    ),
    Row(
        "class N(int): __lt__ = __le__ = __gt__ = __ge__ = __eq__ = lambda *_: True\n"
        "c = small(); c.decode([1, 2]); c.logits(N(99999))",
        "LlamaOutputError",
        "index 99999 has no output",
    ),
    Row(
        "class I:\n"
        "    def __init__(self, *values): self.values = list(values)\n"
        "    def __index__(self): return self.values.pop(0)\n"
        "chain().grammar(load(), 'root ::= .*').greedy().accept(I(0, 2**30))",
        "nothing",
        "",
    ),
    Row(
        "class I:\n"
        "    def __init__(self, *values): self.values = list(values)\n"
        "    def __index__(self): return self.values.pop(0)\n"
        "def act(x): x.size = I(5, 10**6)\n"
        "c = small(); c.decode([1]); chain().custom(Custom(act)).greedy().sample(c)",
        "nothing",
        "",
    ),
    Row("import copy; copy.copy(small())", "TypeError", "LlamaContext cannot be copied"),
    Row("import pickle; pickle.dumps(tiny())", "TypeError", "sent to another process"),
    Row("LlamaBatch([]).set_token(1)", "ValueError", "without tokens"),
    Row("llm().complete('the cat', max_tokens='5')", "TypeError", "max_tokens must be an integer"),
    Row("llm().complete('the cat', max_tokens=float('nan'))", "TypeError", "max_tokens must be"),
    Row("llm().complete('the cat', temperature=None)", "TypeError", "temperature must be a number"),
    Row("llm().complete('the cat', logit_bias=[1])", "TypeError", "expected a Mapping, not list"),
    Row("llm().complete('a cat', context_shift=True, n_keep=1.5)", "TypeError", "n_keep must be"),
    Row("llm().cancel_after('x').__enter__()", "TypeError", "seconds must be a number, not 'x'"),
    Row("with llm().cancel_after(1e300): pass", "nothing", ""),
    Row("LlamaServer(T, port=10**6)", "ValueError", "port=1000000 is not 0 to 65535"),
    Row("LlamaServer(T, timeout='x')", "TypeError", "timeout must be a number"),
    Row("LlamaRpcServer(port='x')", "TypeError", "port must be an integer"),
    Row("LlamaAgent('http://127.0.0.1:9', api_key='a\\nb')", "ValueError", "printable ASCII"),
    Row("llm().generate_many(['a'], [b''])", "TypeError", "expected a Mapping, not bytes"),
    Row("LlamaModel(None, None, None)", "TypeError", "expected a Resource, not NoneType"),
    Row("LlamaModel(small()._resource, None, T)", "TypeError", "expected a llama_model, not"),
    Row("LlamaDevice(None, None)", "TypeError", "expected a LlamaLibrary, not NoneType"),
    Row("LlamaVocab(5, None, T)", "TypeError", "expected a LlamaLibrary, not int"),
    Row("LlamaSequence(5)", "TypeError", "expected a LlamaContext, not int"),
    Row("LlamaSequence(small(), _seq_id=99)", "ValueError", "seq_id 99 is not 0 to 0"),
    Row("small().sequence().sample(5)", "TypeError", "expected a LlamaSampler, not int"),
    Row("LlamaControlVector(5)", "TypeError", "expected a Mapping, not int"),
    Row("import numpy; small().memory.seq_rm(0, numpy.int64(0), numpy.int32(1))", "nothing", ""),
    Row("LlamaBatch([1, 2], seq_id=[0])", "ValueError", "seq_id has 1 entries for 2"),
    Row("LlamaBatch([1, 2], pos=[0])", "ValueError", "pos has 1 entries for 2"),
    Row("LlamaBatch([1, 2], logits=[True])", "ValueError", "logits has 1 entries for 2"),
    Row("LlamaBatch([1, 2], pos=2**31 - 1)", "ValueError", "32 bits"),
    Row("ctx().decode(LlamaBatch([1], pos=-1))", "ValueError", "position -1"),
    Row("ctx().decode(LlamaBatch([1, 2], pos=[5, 3]))", "LlamaDecodeError", "positions"),
    Row("c = ctx(); c.decode([1]); c.decode(LlamaBatch([2], pos=7))", "LlamaDecodeError", "pos"),
    Row("ctx(n_outputs_max=2).decode(LlamaBatch([1] * 4, logits=True))", "ValueError", "4 outputs"),
    Row("ctx().encode([1])", "LlamaContextError", "no encoder"),
    # outputs
    Row("ctx().logits()", "LlamaOutputError", "nothing was decoded"),
    Row("c = ctx(); c.decode([1, 2]); c.logits(0)", "LlamaOutputError", "index 0"),
    Row("c = ctx(); c.decode([1, 2]); c.logits(2)", "LlamaOutputError", "index 2"),
    Row("c = ctx(); c.decode([1, 2]); c.logits(-2)", "LlamaOutputError", "index -2"),
    Row("c = ctx(); c.decode([1]); c.logits('0')", "TypeError", "index must be an integer"),
    Row(
        "c = ctx(); c.decode(LlamaBatch([1], logits=False)); c.logits()",
        "LlamaOutputError",
        "index -1",
    ),
    # text
    Row("load().tokenize(5)", "TypeError", "string or bytes"),
    Row("load().token_to_bytes(-1)", "ValueError", "token -1"),
    Row("load().token_to_bytes(10**6)", "ValueError", "token 1000000"),
    Row("load().token_to_bytes('a')", "TypeError", "token must be an integer"),
    Row("load().detokenize([10**6])", "ValueError", "token 1000000"),
    Row("load().detokenize(['a'])", "TypeError", "token must be an integer"),
    Row("load().is_eog(-5)", "ValueError", "token -5"),
    Row("load().decoder().feed(2**31)", "ValueError", "token=2147483648"),
    Row("load().metadata['no.such.key']", "KeyError", "no.such.key"),
    # samplers: chains
    Row("sample(lambda m: chain())", "LlamaSamplerError", "selects no token"),
    Row("sample(lambda m: chain().top_k(5))", "LlamaSamplerError", "selects no token"),
    Row("chain().greedy().temp(0.5)", "LlamaSamplerError", "cannot come behind greedy"),
    Row("chain().greedy().dist()", "LlamaSamplerError", "cannot come behind greedy"),
    Row("chain(no_pref=True)", "TypeError", "did you mean 'no_perf'"),
    Row("chain('libllama.so')", "TypeError", "LlamaLibrary"),
    Row("chain().greedy().sample(5)", "TypeError", "expected a LlamaContext"),
    Row("chain().greedy().sample(ctx())", "LlamaOutputError", "nothing was decoded"),
    # samplers: arguments
    Row("chain().dist(-1)", "ValueError", "dist: seed=-1"),
    Row("chain().dist(2**32)", "ValueError", "dist: seed=4294967296"),
    Row("chain().dist('a')", "TypeError", "dist: seed must be an integer"),
    Row("chain().top_k(2**31)", "ValueError", "top_k: k=2147483648"),
    Row("chain().top_k(1.5)", "TypeError", "top_k: k must be an integer"),
    Row("chain().top_p(None)", "TypeError", "top_p: p must be a number"),
    Row("chain().top_p(0.9, -1)", "ValueError", "top_p: min_keep=-1"),
    Row("chain().min_p(INF)", "ValueError", "min_p: p=inf"),
    Row("chain().temp(1e300)", "ValueError", "temp: t=1e+300"),
    Row("chain().temp(1e-45)", "ValueError", "too near to 0"),
    Row("chain().temp_ext(1.0, INF, 1.0)", "ValueError", "temp_ext: delta=inf"),
    Row("chain().mirostat_v2(tau=INF)", "ValueError", "mirostat_v2: tau=inf"),
    Row("chain().penalties(load(), -1, 1.1)", "ValueError", "penalty_last_n=-1"),
    Row("chain().penalties(load(), 2**31 - 1, 1.1)", "ValueError", "penalty_last_n=2147483647"),
    Row("chain().penalties(load(), 64, 0.0)", "ValueError", "penalty_repeat=0.0"),
    Row("chain().penalties(load(), 64, 1.0, INF)", "ValueError", "penalty_freq=inf"),
    Row("chain().penalties(M)", "TypeError", "expected a LlamaModel"),
    Row("chain().dry(load(), 0.8, dry_penalty_last_n=-1)", "ValueError", "dry_penalty_last_n=-1"),
    Row("chain().dry(load(), 0.8, dry_penalty_last_n=2**31 - 1)", "ValueError", "2147483647"),
    Row("chain().dry(load(), 0.8, seq_breakers='ab')", "TypeError", "not one string"),
    Row("chain().dry(load(), 0.8, seq_breakers=[5])", "TypeError", "expected a string"),
    Row("chain().logit_bias(load(), {-1: 0.0})", "ValueError", "token -1"),
    Row("chain().logit_bias(load(), {10**6: 0.0})", "ValueError", "token 1000000"),
    Row("chain().logit_bias(load(), {1: INF})", "ValueError", "infinite"),
    Row("chain().logit_bias(load(), [(1,)])", "TypeError", "tuple of 2 numbers"),
    Row("sample(lambda m: chain().infill(m).dist())", "LlamaSamplerError", "top_k"),
    # samplers: grammars
    Row("chain().grammar(load(), '')", "LlamaSamplerError", "no rules"),
    Row("chain().grammar(load(), 'root ::= (')", "LlamaSamplerError", "expecting ')'"),
    Row("chain().grammar(load(), 'root ::= x')", "LlamaSamplerError", "Undefined rule"),
    Row("chain().grammar(load(), 'x ::= \"a\"')", "LlamaSamplerError", "'root'"),
    Row("chain().grammar(load(), 'root ::= \"a\"', '')", "LlamaSamplerError", "''"),
    Row("chain().grammar(load(), 'root ::= root \"a\"')", "LlamaSamplerError", "left recursion"),
    Row(
        'chain().grammar(load(), \'root ::= a root "x" | "y"\\na ::= b\\nb ::= "z" | ""\')',
        "LlamaSamplerError",
        "left recursion, which has no end: root -> root",
    ),
    Row("chain().grammar(load(), None)", "TypeError", "expected a string"),
    Row("chain().grammar(load(), 'a\\0')", "ValueError", "NUL"),
    Row("chain().grammar(load(), 'root ::= ' + '(' * 10**5)", "LlamaSamplerError", "parentheses"),
    Row(
        "chain().grammar(load(), '\\n'.join(f'a{i} ::= a{i + 1}' for i in range(10**5)))",
        "LlamaSamplerError",
        "10000 rules",
    ),
    Row("chain().top_k(1).grammar(load(), 'root ::= .*')", "LlamaSamplerError", "put the grammar"),
    Row(
        """sample(lambda m: chain().temp(0).grammar(m, 'root ::= "zq"').greedy())""",
        "LlamaSamplerError",
        "the grammar does not allow token",
    ),
    Row(
        """sample(lambda m: chain().temp(0).grammar(m, 'root ::= "zq"').mirostat_v2())""",
        "LlamaSamplerError",
        "the grammar does not allow token",
    ),
    Row(
        """sample(lambda m: chain().grammar(m, 'root ::= <[4294967295]>').greedy())""",
        "LlamaSamplerError",
        "the grammar does not allow token",
    ),
    Row(  # upstream allows <|im_start|> as the "<" with the name behind it, and then throws
        """sample(lambda m: chain().grammar(m, 'root ::= "<" <|im_start|>')
            .logit_bias(m, {1: 1000.0}).greedy())""",
        "LlamaSamplerError",
        "the grammar does not allow token 1",
    ),
    Row(
        """chain().grammar(load(), 'root ::= "<" !<|im_end|> "x"')""",
        "LlamaSamplerError",
        "not supported",
    ),
    Row(
        """chain().grammar_lazy_patterns(load(), 'root ::= "a"', trigger_patterns=['('])""",
        "ValueError",
        "regular expression",
    ),
    Row(
        """chain().grammar_lazy_patterns(load(), 'root ::= "a"', trigger_tokens=[-5])""",
        "ValueError",
        "token -5",
    ),
    Row(
        """chain().grammar_lazy_patterns(load(), 'root ::= "a"')""",
        "ValueError",
        "triggers",
    ),
    Row(
        """sample(lambda m: chain().grammar_lazy_patterns(m, 'root ::= "zzz"',
            trigger_patterns=[r'[\\s\\S]*']).greedy())""",
        "LlamaSamplerError",
        "is not how the grammar begins",
    ),
    Row(
        """sample(lambda m: chain().grammar_lazy_patterns(m, 'root ::= "zzz"',
            trigger_tokens=range(m.vocab.n_tokens)).greedy())""",
        "LlamaSamplerError",
        "is not how the grammar begins",
    ),
    Row(
        """chain().grammar_lazy(load(), 'root ::= "a"', trigger_words=[''])""",
        "ValueError",
        "empty trigger word",
    ),
    # closed things
    Row("m = load(); m.close(); m.tokenize('a')", "LlamaClosedError", "the model"),
    Row("m = load(); m.close(); m.vocab.bos", "LlamaClosedError", "the model"),
    Row("m = load(); m.close(); m.metadata['general.name']", "LlamaClosedError", "the model"),
    Row("m = load(); m.close(); LlamaContext(m)", "LlamaClosedError", "the model"),
    Row("m = load(); m.close(); chain().penalties(m)", "LlamaClosedError", "the model"),
    Row("c = ctx(); c.close(); c.decode([1])", "LlamaClosedError", "the context"),
    Row("c = ctx(); c.decode([1]); c.close(); c.logits()", "LlamaClosedError", "the context"),
    Row("c = ctx(); c.close(); c.n_threads", "LlamaClosedError", "the context"),
    Row("s = chain().greedy(); s.close(); s.sample(ctx())", "LlamaClosedError", "the sampler"),
    Row("s = chain(); s.close(); s.greedy()", "LlamaClosedError", "the sampler"),
    Row("s = chain(); s.close(); s.reset()", "LlamaClosedError", "the sampler"),
    Row(
        "c = ctx(); c.decode([1]); s = chain().greedy(); c.close(); s.sample(c)",
        "LlamaClosedError",
        "the context",
    ),
    Row("c = small(); s = c.sequence(); c.close(); s.extend([1])", "LlamaClosedError", "context"),
    Row("c = small(); s = c.sequence(); s.close(); s.extend([1])", "LlamaClosedError", "sequence"),
    # sequences and states
    Row("small().sequence().truncate(1)", "ValueError", "n=1 is not 0 to 0"),
    Row("small().sequence().extend(['a'])", "TypeError", "token must be an integer"),
    Row("c = small(); a = c.sequence(); c.sequence()", "LlamaContextError", "no sequence is left"),
    Row("small().sequence.from_bytes(b'x')", "LlamaStateError", "not a state"),
    Row("small().restore(b'')", "LlamaStateError", "not a state"),
    Row("small().restore(small(n_seq_max=2).to_bytes())", "LlamaStateError", "n_seq_max"),
    Row("ctx().restore(small().to_bytes())", "LlamaStateError", "another model"),
    # adapters, quantizing
    Row("small().set_loras([5])", "TypeError", "expected a LlamaLora"),
    Row(
        "small().set_control_vector(LlamaControlVector({1: [1.0] * 5}))",
        "LlamaAdapterError",
        "n_embd=5, not 64",
    ),
    Row("tiny().load_lora(T)", "LlamaAdapterError", "no LoRA adapter"),
    Row("LlamaControlVector.from_file(T)", "LlamaAdapterError", "no control vector"),
    Row("LlamaControlVector({0: [1.0]})", "ValueError", "behind layer 1, not 0"),
    Row("quantize(T, T)", "ValueError", "is what is read"),
    Row("quantize(T, FOLDER + '/q.gguf', 'Q9')", "ValueError", "'Q9' is not one of"),
    Row("quantize(T + 'x', FOLDER + '/q.gguf')", "FileNotFoundError", "No such file"),
    # custom samplers, samplers in graphs
    Row(
        "c = small(); c.decode([1]); chain().custom(Custom(lambda x: 1 / 0)).greedy().sample(c)",
        "ZeroDivisionError",
        "division by zero",
    ),
    Row(
        "c = small(); c.decode([1])\n"
        "chain().custom(Custom(lambda x: c.close())).greedy().sample(c); c.n_ctx",
        "LlamaClosedError",
        "the context",
    ),
    Row(
        "s = chain().greedy(); small(samplers={0: s}); small(samplers={0: s})",
        "LlamaSamplerError",
        "give a clone() of it",
    ),
    Row("small(samplers={5: chain().greedy()})", "ValueError", "seq_id 5 is not 0 to 0"),
    # text
    Row("llm().rerank('a', ['b'])", "LlamaModelError", "no classifier"),
    Row("llm().generate('a', max_tokens=-5)", "ValueError", "at least 1, not -5"),
    Row("list(llm().generate_many(['a', 5]))", "TypeError", "a prompt must be text or tokens"),
    Row("x = llm(); x.close(); x.complete('a')", "LlamaClosedError", "the model"),
    Row("LlamaMultimodal(tiny(), T)", "LlamaModelError", "no projector"),
    Row("LlamaServer('/no/such.gguf')", "FileNotFoundError", "does not exist"),
    # other threads, processes, lifetimes, the end of the interpreter
    Row("elsewhere(lambda: small().decode([]))", "ValueError", "no tokens"),
    Row("m = tiny(); c = small(m); m.close(); c.decode([1]); c.close()", "nothing", ""),
    Row("x = llm(); x.me = x; del x; gc.collect()", "nothing", ""),
    Row(
        "c = small(); c.me = c; c.decode([1]); v = c.logits(); del c; gc.collect(); v[0]",
        "nothing",
        "",
    ),
    Row(
        "c = small(); c.decode([1])\npid = os.fork()\nif pid == 0: os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0; c.decode([2])",
        "nothing",
        "",
        True,
    ),
    Row(
        "sys.kept = [chain().greedy(), small(), tiny(), load()]; sys.kept[1].decode([1])\n"
        "sys.kept.append(sys.kept[1].logits())",
        "nothing",
        "",
        True,
    ),
    Row("sys.kept = llm().generate('the cat'); next(iter(sys.kept))", "nothing", "", True),
    *UPPER,
]


class Outcome(NamedTuple):
    """What a case came to."""

    error: str
    message: str
    problem: str
    """What is wrong with that; empty where nothing is."""


def outcomes(rows: Sequence[Row], model: Path, tiny: Path, folder: Path) -> Iterator[Outcome]:
    """Every case's, in order. Some share a process; when one ends it, each runs alone."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.alone or not groups or groups[-1][0].alone or len(groups[-1]) == _TOGETHER:
            groups.append([])
        groups[-1].append(row)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda group: _group(group, model, tiny, folder), groups):
            yield from found


def _group(rows: Sequence[Row], *files: Path) -> list[Outcome]:
    done = run(sys.executable, PREPARE, [row.code for row in rows], *files)
    ends = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    if done.returncode or len(ends) != len(rows):
        if len(rows) > 1:
            return [outcome for row in rows for outcome in _group([row], *files)]
        end = f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
        return [Outcome("", "", end)]
    *noise, rest = done.stderr.split(_MARK)
    noise[-1] += rest
    return [_judge(row, *end, said) for row, end, said in zip(rows, ends, noise, strict=True)]


def _judge(row: Row, error: str, message: str, noise: str) -> Outcome:
    problem = ""
    if error != row.error or row.message not in message:
        problem = f"{error}: {message}"
    elif noise:
        problem = f"it wrote: {noise}"
    return Outcome(error, message, problem)


def run(
    python: str | Path,
    program: str,
    codes: Sequence[str],
    *files: Path,
    cwd: Path = ROOT,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """Run cases in a process. A crash must show as one: quickly, and where it was."""
    arguments = [python, "-c", program, *map(str, files), json.dumps(codes)]
    variables = {"GGML_NO_BACKTRACE": "1", "PYTHONFAULTHANDLER": "1", "OMP_WAIT_POLICY": "passive"}
    try:
        return subprocess.run(
            arguments, cwd=cwd, env={**os.environ, **variables, **env}, capture_output=True,
            text=True, errors="replace", timeout=patience(_SECONDS), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 124, "", f"{_SECONDS:.0f} seconds were over")
