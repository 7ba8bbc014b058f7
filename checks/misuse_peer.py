"""The nearest calls of llama-cpp-python to the rows of `tests.misuse.cases`, each in a process.

Only calls of its high-level classes ``Llama``, ``LlamaGrammar`` and the like, and of the inner
objects that its documentation shows.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llama_cpp import LlamaLibrary
from tests.misuse.runner import run
from tests.support.python import ROOT

_PROGRAM = ROOT / "checks" / "misuse_peer_program.py"

_RIGHT = "load()('a', max_tokens=2)"
CALLS = (
    "load(n_batch=0)",
    "load(n_batch=-1)",
    "load(n_ctx=2**31 - 2**16)",
    "load(n_threads=0).eval([1])",
    "load(n_threads=100000).eval([1])",
    "load(n_seq_max=257).eval([1])",
    "load(pooling_type=99, embedding=True).embed('a')",
    "load(type_k=39).eval([1])",
    "load(type_k=24).eval([1])",
    "load(split_mode=9).eval([1])",
    "load(rope_scaling_type=9).eval([1])",
    "load(tensor_split=[1.0] * 1000)",
    "load(kv_overrides={'k' * 200: 5})",
    "load(kv_overrides={'llama.block_count': 0})",
    "load(kv_overrides={'llama.expert_count': 3})",
    "load(kv_overrides={'llama.attention.layer_norm_rms_epsilon': -1.0}).eval([1])",
    "load(vocab_only=True).eval([1])",
    "load().eval([-1])",
    "load().eval([10**6])",
    "load().eval([])",
    "load().eval([1] * 300)",
    "m = load(); m.n_tokens = 5; m.eval([1])",
    "load().sample()",
    "load().detokenize([-1])",
    "load().detokenize([10**6])",
    "load().detokenize([10**6], special=True)",
    "load()('a', max_tokens=2, logit_bias={10**6: 1.0})",
    "load()('a', max_tokens=2, logit_bias={-1: 1.0})",
    "load()('a', max_tokens=2, top_k=2**40)",
    "load()('a', max_tokens=2, temperature=float('nan'))",
    "load()('a', max_tokens=2, mirostat_mode=2, mirostat_tau=float('inf'))",
    "load()('a', max_tokens=2, grammar=LlamaGrammar.from_string('root ::= ('))",
    "load()('a', max_tokens=2, grammar=LlamaGrammar.from_string('root ::= root \"a\"'))",
    "load()('a', max_tokens=2, grammar=LlamaGrammar.from_string('x ::= \"a\"'))",
    "load()('a', max_tokens=4, grammar=LlamaGrammar.from_string('root ::= <[4294967295]>'))",
    "m = load(); m.close(); m.eval([1])",
    "m = load(); m.close(); m.tokenize(b'a')",
    "m = load(); m.close(); m.detokenize([1])",
    "m = load(); m.close(); m.token_eos()",
    "m = load(); m.eval([1]); s = m.to_bytes(); s.llama_state = s.llama_state[:50]; "
    "s.llama_state_size = 50; m.restore(s); m.eval([1])",
    "load(embedding=False).embed('a')",
    "load(lora_path=M)",
    "load(logits_all=True, n_batch=2).eval([1] * 9)",
    "m = load()\ndef p(ids, scores): 1 / 0\nm('a', max_tokens=2, logits_processor=[p])",
)


def compare(model: Path) -> None:
    """Print how many of `CALLS` ended the process, and which."""
    from bench.build import CannotMeasure
    from bench.peer import environment

    try:
        python, code = environment()
    except CannotMeasure as error:
        print(f"without the comparison: {error}")
        return
    env = {
        "LLAMA_CPP_LIB_PATH": str(LlamaLibrary.default().path.parent),
        "PYTHONPATH": str(code),
    }

    def one(call: str) -> str:
        done = run(python, _PROGRAM, [call], model, cwd=code, **env)
        words = done.stdout.split()
        if done.returncode == 124:
            return "hung"
        # Also one that answered, and died of it at its end.
        return "killed" if done.returncode or not words else words[0]

    if one(_RIGHT) != "nothing":  # otherwise the comparison would mean nothing
        print(f"without the comparison: llama-cpp-python does not work here, {_RIGHT} fails")
        return
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(one, CALLS))
    counts = Counter(ends)
    for call, end in zip(CALLS, ends, strict=True):
        print(f"  {end:8} {call!r}")
    print(
        f"llama-cpp-python: calls {len(CALLS)}, raised {counts['raised']}, went on "
        f"{counts['nothing']}, killed the process {counts['killed']}, hung {counts['hung']}"
    )
