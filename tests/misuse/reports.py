"""Public bug reports of llama.cpp's users, each as a small program, and the error it ends in here.

docs/reports.md lists the reports. Nothing here ends the process, hangs or gives wrong texts.
"""

from __future__ import annotations

REPORTS = [
    # repository, number; the error and a part of its message; the code
    ("abetlen/llama-cpp-python", 471, "nothing", "",
     "x = llm(); together(lambda: busy(x.complete, 'a', max_tokens=9))"),
    ("abetlen/llama-cpp-python", 1367, "nothing", "",
     "a = alm(); wait(both(a.complete('a', max_tokens=4), a.complete('b', max_tokens=4)))"),
    ("abetlen/llama-cpp-python", 1995, "nothing", "",
     "m = tiny(); together(lambda: Llama(m, n_ctx=64, n_threads=1).complete('a', "
     "max_tokens=4))"),
    ("abetlen/llama-cpp-python", 1861, "nothing", "",
     "a = alm(); s = a.generate('a', max_tokens=9); wait(first(s)); del s; "
     "wait(a.complete('a', max_tokens=2))"),
    ("stanfordnlp/dspy", 9640, "nothing", "",
     "together(lambda: llm().complete('a', max_tokens=2))"),
    ("nrl-ai/llama-assistant", 11, "nothing", "",
     "x = llm(); g = x.generate('a', max_tokens=9); next(g); x.complete('b', "
     "max_tokens=2); list(g)"),
    ("abetlen/llama-cpp-python", 1319, "nothing", "",
     "x = Llama(tiny(), n_ctx=32, n_batch=32, n_threads=1); [x.complete(t, "
     "max_tokens=8) for t in ('the cat', 'the mat', 'a cat sat')]"),
    ("abetlen/llama-cpp-python", 1442, "nothing", "",
     "stays(lambda: llm().complete('a', max_tokens=1))"),
    ("oobabooga/textgen", 766, "nothing", "",
     "x = llm(); [x.complete([1] * 60, max_tokens=1) for _ in range(40)]"),
    ("withcatai/node-llama-cpp", 282, "nothing", "",
     "m = load(vocab_only=True); [m.token_to_piece(t) for t in range(m.vocab.n_tokens)]"),
    ("withcatai/node-llama-cpp", 129, "nothing", "",
     "Llama(tiny(), n_ctx=64, n_batch=8, n_threads=1).complete([1] * 40, max_tokens=2)"),
    ("ggml-org/llama.cpp", 24098, "nothing", "",
     "Llama(tiny(), n_ctx=1, n_threads=1).complete('the cat', max_tokens=4)"),
    ("ggml-org/llama.cpp", 9652, "LlamaContextError", "cannot generate",
     "Llama(other('bert'), n_threads=1).complete('the cat')"),
    ("ggml-org/llama.cpp", 27515, "LlamaContextError", "Q4_0",
     "c = small(type_k=_raw.GGML_TYPE_Q4_0); c.decode([1] * 9); c.memory.seq_add(0, 3, "
     "-1, 4)"),
    ("SciSharp/LLamaSharp", 680, "ValueError", "no tokens",
     "small().decode(LlamaBatch([]))"),
    ("SciSharp/LLamaSharp", 654, "LlamaModelError", "not a GGUF file",
     "f = FOLDER + '/old.bin'; open(f, 'wb').write(b'tjgg' + bytes(99)); "
     "LlamaModel.from_file(f)"),
    ("abetlen/llama-cpp-python", 796, "nothing", "",
     "with redirect_stdout(StringIO()), redirect_stderr(StringIO()): llm().complete('a', "
     "max_tokens=1)"),
    ("abetlen/llama-cpp-python", 1874, "nothing", "",
     "s = os.fstat(2); together(llm, lambda: chain().grammar(tiny(), 'root ::= [a-c]')); "
     "assert os.path.samestat(s, os.fstat(2))"),
    ("abetlen/llama-cpp-python", 2002, "nothing", "",
     "ends('from llama_cpp import Llama; x = [Llama(T, n_ctx=64)]; x.append(x); "
     "g = x[0].generate([1]); next(g)')"),
    ("abetlen/llama-cpp-python", 27, "TypeError", "cannot be copied, pickled",
     "import pickle; pickle.dumps(llm())"),
    ("abetlen/llama-cpp-python", 997, "nothing", "",
     "c, f = small(), FOLDER + '/s'; c.decode([1] * 9); c.save(f + '1'); "
     "c.decode([2] * 9); c.save(f + '2'); c.load(f + '1'); c.decode([3])"),
    ("abetlen/llama-cpp-python", 1762, "ValueError", "tokens",
     "Llama(other('bert'), n_batch=1024, n_threads=1).embed('the cat ' * 1000)"),
    ("ggml-org/llama.cpp", 12836, "nothing", "",
     "Llama(other('bert'), n_batch=64, n_ubatch=16, "
     "n_threads=1).embed('the cat sat on the mat ' * 4)"),
    ("ggml-org/llama.cpp", 13688, "nothing", "",
     "Llama(other('bert'), n_threads=1).embed(['a'] * 20)"),
    ("ggml-org/llama.cpp", 12597, "LlamaSamplerError", "does not allow token 5",
     "chain().grammar(tiny(), 'root ::= \"a\"').greedy().accept(5)"),
    ("DevelopersCoffee/airo", 1739, "nothing", "",
     "assert llm().complete('a', grammar='root ::= \"the\" \"cat\"', "
     "max_tokens=20).text == 'thecat'"),
    ("ggml-org/llama.cpp", 4492, "LlamaSamplerError", "route",
     "llm().complete('a', grammar='root ::= route')"),
    ("ggml-org/llama.cpp", 4376, "nothing", "",
     "llm().complete('a', grammar='root ::= [ \\\\n\\\\t]*  \\n\\n', max_tokens=3)"),
    ("ggml-org/llama.cpp", 3702, "nothing", "",
     "c = small(); c.decode([1]); chain().grammar(c.model, "
     "'root ::= [a-c]+').typical(0.2).dist(1).sample(c)"),
    ("ggml-org/llama.cpp", 24496, "nothing", "",
     "a = alm(); wait(cut(a.complete_many(['the cat'] * 999, max_tokens=40))); "
     "wait(a.complete('a', max_tokens=1))"),
    ("shakfu/cyllama", 8, "KeyboardInterrupt", "",
     "threading.Timer(0.2, os.kill, (os.getpid(), "
     "2)).start()\nx = llm()\nwhile True: x.complete([1] * 50, cache_prompt=False, "
     "max_tokens=9)"),
    ("abetlen/llama-cpp-python", 733, "LlamaCancelled", "",
     "x = llm()\nwith x.cancel_after(0.2):\n while True: x.complete([1] * 50, "
     "cache_prompt=False, max_tokens=9)"),
]  # fmt: skip
