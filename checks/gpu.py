"""The package on a GPU: ``python -m checks.gpu [--engine FOLDER]``, or `make gpu-check`.

Needs no network. The engine is the one in FOLDER, an installed one with a GPU backend, or one
that is built from ``--source`` for the cards of this machine alone; the model is SmolLM2 in the
cache, or the one of ``--model``. Each part runs in its own process; parts that would begin
after ``--minutes`` are left out. Exit code 0: all is right, 1: a part failed, 3: there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_cpp import Llama, LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler, _raw, devices
from llama_cpp.engine.building import build
from llama_cpp.engine.find import BACKENDS, cache_root, engine_dir
from tests.support.python import ROOT

NO_GPU = 3
_PROMPT = "Once upon a time, in a small village by the sea,"
_TOKENS = 32
_NEAR = 0.5
"""How far the CPU's token may be below the GPU's likeliest, in logits: rounding differs."""


def gpus() -> list[Any]:
    """The devices that are no CPU."""
    return [d for d in devices() if d.type.name.endswith("_GPU")]


def show_devices(path: Path) -> str:
    """The list of devices."""
    lines = [f"{d.name}: {d.description}, {d.memory_total / 2**30:.1f} GiB" for d in devices()]
    return f"{LlamaLibrary.default().path}\n" + "\n".join(lines)


def layers(path: Path) -> str:
    """The CPU's text, with no, half and all layers on the GPU."""
    with Llama(path, n_ctx=512, devices=[]) as llm:
        prompt = llm.tokenize(_PROMPT)
        expected = list(llm.complete(prompt, max_tokens=_TOKENS, temperature=0).tokens)
        n_layer = llm.model.n_layer
    lines = [f"CPU: {len(expected)} tokens"]
    for n in (0, n_layer // 2, n_layer + 1):
        lines.append(f"{n} layers on the GPU: {_follow(path, prompt, expected, n_gpu_layers=n)}")
    return "\n".join(lines)


def _follow(path: Path, prompt: list[int], expected: list[int], **loading: Any) -> str:
    """How near the logits of another device are to the tokens that the CPU chose."""
    worst, same = 0.0, 0
    with LlamaModel.from_file(path, **loading) as model, LlamaContext(model, n_ctx=512) as ctx:
        ctx.decode(prompt)
        for token in expected:
            logits = list(ctx.logits(-1))
            worst = max(worst, max(logits) - logits[token])
            same += logits[token] == max(logits)
            ctx.decode([token])
        where = dict(model.layers)
    if gpus() and loading.get("n_gpu_layers") != 0:
        assert set(where) != {"CPU"}, f"no layer is on the GPU: {where}"
    assert worst <= _NEAR, f"a token of the CPU is {worst:.2f} below the GPU's likeliest"
    return f"{same} of {len(expected)} tokens the same, at most {worst:.3f} apart; {where}"


def split(path: Path) -> str:
    """tensor_split over all GPUs, and all on the first."""
    found = gpus()
    with Llama(path, n_ctx=512, devices=[]) as llm:
        prompt = llm.tokenize(_PROMPT)
        expected = list(llm.complete(prompt, max_tokens=_TOKENS, temperature=0).tokens)
    lines = []
    for parts in ([1.0] * len(found), [1.0, *[0.0] * (len(found) - 1)]):
        lines.append(f"{parts}: {_follow(path, prompt, expected, tensor_split=parts)}")
    return "\n".join(lines)


def in_graph(path: Path) -> str:
    """The sampler on the GPU chooses the tokens that the sampler on the CPU chooses."""
    with LlamaModel.from_file(path) as model:
        texts = []
        for in_the_graph in (False, True):
            chain = LlamaSampler.chain(model.library).temp(0).dist(1)
            given: Any = {"samplers": {0: chain}} if in_the_graph else {}
            with LlamaContext(model, n_ctx=512, **given) as ctx:
                ctx.decode(model.tokenize(_PROMPT))
                tokens = []
                for _ in range(_TOKENS):
                    tokens.append(chain.sample(ctx))
                    ctx.decode(tokens[-1:])
                names = chain.in_graph
            texts.append(tokens)
    assert texts[0] == texts[1], f"other tokens: {texts}"
    assert names, "no sampler ran in the graph"
    return f"{_TOKENS} tokens the same, in the graph: {', '.join(names)}"


def state(path: Path) -> str:
    """A saved state goes on as the text did."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "state")
        with Llama(path, n_ctx=512) as llm:
            prompt = llm.tokenize(_PROMPT)
            llm.complete(prompt, max_tokens=1)
            llm.save_state(file, prompt)
            expected = llm.complete(prompt, max_tokens=_TOKENS, temperature=0).text
        with Llama(path, n_ctx=512) as llm:
            kept = llm.load_state(file)
            again = llm.complete(prompt, max_tokens=_TOKENS, temperature=0)
        size = file.stat().st_size
    assert again.text == expected, f"{again.text!r} is not {expected!r}"
    assert again.usage.cached_tokens >= kept - 1
    return f"{kept} tokens, {size / 1e6:.1f} MB: the same text"


def bench(path: Path) -> str:
    """Generation and prompt next to the C loop and llama-bench, with the same engine."""
    command = [sys.executable, "-m", "bench", "generation", "prompt", "--rounds", "3"]
    done = subprocess.run(
        [*command, "--model", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


PARTS: dict[str, Callable[[Path], str]] = {
    "devices": show_devices, "layers": layers, "tensor_split": split, "in-graph sampling": in_graph,
    "state": state, "bench": bench,
}  # fmt: skip


def engine(given: argparse.Namespace) -> Path | None:
    """The folder of the engine to try."""
    if given.engine:
        return Path(given.engine)
    if given.source:
        return build(given.source, _raw.TAG, backend=given.backend)
    found = (engine_dir(_raw.TAG, backend) for backend in BACKENDS)
    return next((folder for folder in found if folder), None)


def in_a_process(name: str, model: Path, env: dict[str, str], seconds: float) -> tuple[bool, str]:
    """Whether the part is right, and its report, or the reason. It ends with all that it began."""
    command = [sys.executable, "-m", "checks.gpu", "--part", name, "--model", str(model)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, "not through in time"
    if process.returncode:
        return False, err[-4000:]
    return True, str(json.loads(out.splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description="The package on a GPU.")
    parser.add_argument("--engine", type=Path, help="its folder")
    parser.add_argument("--source", type=Path, help="llama.cpp's tree, to build one from")
    parser.add_argument("--backend", default="cuda", help="to build (default: cuda)")
    parser.add_argument("--model", type=Path, help="a GGUF file (default: SmolLM2 in the cache)")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    model: Any = given.model or next(iter((cache_root() / "models").glob("SmolLM2*.gguf")), None)
    if given.part:
        print(json.dumps(PARTS[given.part](model)))
        return 0
    until = time.monotonic() + 60 * given.minutes
    folder = engine(given)
    env = {**os.environ, **({"LLAMA_CPP_LIB": str(folder.resolve())} if folder else {})}
    os.environ.update(env)
    if not gpus():
        print(f"no GPU: {show_devices(Path())}\n`llama-py doctor` has the reason")
        return NO_GPU
    if model is None:
        parser.error("no model in the cache: give --model FILE")
    failed = []
    for name in PARTS:
        left = until - time.monotonic()
        if left <= 0:
            print(f"== {name}: left out, {given.minutes:g} minutes are over")
            continue
        begun = time.monotonic()
        right, text = in_a_process(name, model, env, left)
        failed += [name] * (not right)
        word = "right" if right else "FAILED"
        print(f"== {name}: {word}, {time.monotonic() - begun:.1f} s\n{text.strip()}", flush=True)
    print(f"{len(failed)} parts failed" + f": {', '.join(failed)}" * bool(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
