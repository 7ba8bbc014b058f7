"""``llama-py bench``: the speed of a model on this machine."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.table import Table

from .. import _raw
from ..context.context import LlamaContext
from ..engine.machine import usable_cores
from ..model.device import devices
from ..model.model import LlamaModel
from ..sampling.chain import LlamaSampler
from ._common import (
    COUNT,
    ModelCommand,
    bar,
    engine_of,
    find,
    give,
    json_option,
    model_option,
    show,
)


@dataclass(frozen=True)
class _Result:
    work: str
    tokens: int
    threads: int
    tokens_per_second: float
    """The median of the rounds."""
    low: float
    """The lower quartile."""
    high: float
    rounds: list[float]


@click.command(cls=ModelCommand)
@model_option
@click.option(
    "--prompt-tokens", "-p", type=click.IntRange(0), metavar="TOKENS", default=512,
    show_default=True, help="Length of the prompt; 0 leaves it out.",
)  # fmt: skip
@click.option(
    "--max-tokens", "-n", type=click.IntRange(0), metavar="TOKENS", default=128,
    show_default=True, help="Tokens to generate; 0 leaves it out.",
)  # fmt: skip
@click.option("--rounds", "-r", type=COUNT, default=5, show_default=True, help="Rounds of each.")
@click.option(
    "--threads", type=COUNT, multiple=True,
    help="By default the usable cores; can be repeated, to compare.",
)  # fmt: skip
@click.option("--gpu-layers", "-g", type=int, help="Layers on the GPU; by default all.")
@json_option
def bench(
    model: str, prompt_tokens: int, max_tokens: int, rounds: int, threads: tuple[int, ...],
    gpu_layers: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure a model's speed.

    The numbers are tokens per second: of reading a prompt, and of generation. The prompt is random
    and starts from an empty context each time; generation starts from one token and takes the
    likeliest. Each number is the median of the rounds, with its quartiles.
    """
    if not prompt_tokens and not max_tokens:
        raise click.UsageError("Nothing to measure: both -p and -n are 0.")
    path = find(model)
    layers: dict[str, Any] = {} if gpu_layers is None else {"n_gpu_layers": gpu_layers}
    with bar(f"Loading {path.name}") as progress:
        loaded = LlamaModel.from_file(path, progress=progress, **layers)
    with loaded, bar(f"Measuring {path.name}") as progress:
        threads = threads or (usable_cores(),)
        results = _measure(loaded, threads, prompt_tokens, max_tokens, rounds, progress)
        engine = engine_of(loaded.library)
        facts: dict[str, Any] = {
            "model": loaded.description,
            "file": path.name,
            "size": loaded.size,
            "parameters": loaded.n_params,
            "bindings": _raw.TAG,
            "engine": str(loaded.library.path) if engine is None else engine.tag,
            "devices": [f"{one.name} ({one.description})" for one in devices(loaded.library)],
        }
    if as_json:
        give({**facts, "results": [asdict(result) for result in results]})
        return
    click.echo(
        f"{facts['model']}, {facts['size'] / 1e6:.0f} MB, llama.cpp {facts['engine']}, "
        + ", ".join(facts["devices"])
    )
    table = Table(box=None, pad_edge=False)
    for name in ("work", "threads", "tokens/s", "quartiles"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for one in results:
        speed, quartiles = f"{one.tokens_per_second:.1f}", f"{one.low:.1f} to {one.high:.1f}"
        table.add_row(f"{one.work} of {one.tokens}", str(one.threads), speed, quartiles)
    show(table)


def _measure(
    model: LlamaModel, threads: tuple[int, ...], prompt_tokens: int, max_tokens: int, rounds: int,
    progress: Callable[[float], None] | None,
) -> list[_Result]:  # fmt: skip
    chance = random.Random(1)
    prompt = [chance.randrange(model.vocab.n_tokens) for _ in range(prompt_tokens)]
    works: list[tuple[str, int, Callable[[LlamaContext], None]]] = []
    if prompt:
        works.append(("prompt", prompt_tokens, lambda ctx: ctx.decode(prompt)))
    if max_tokens:
        works.append(("generation", max_tokens, lambda ctx: _generate(ctx, max_tokens)))
    results = []
    parts, done = len(threads) * len(works) * (rounds + 1), 0
    for n in threads:
        size = max(prompt_tokens, max_tokens + 1)
        with LlamaContext(model, n_ctx=size, n_threads=n, n_threads_batch=n) as ctx:
            ctx.warm_up()
            for name, tokens, work in works:
                speeds = []
                for i in range(rounds + 1):
                    ctx.memory.clear()
                    begun = time.perf_counter()
                    work(ctx)
                    ctx.logits(-1)  # the device may still be at work
                    if i:  # in the first, caches are cold and memory is untouched
                        speeds.append(tokens / (time.perf_counter() - begun))
                    done += 1
                    if progress:
                        progress(done / parts)
                results.append(_result(name, tokens, n, speeds))
    return results


def _generate(ctx: LlamaContext, n: int) -> None:
    """Generate ``n`` of the likeliest tokens, also past the end of the text."""
    with LlamaSampler.chain(ctx.model.library).greedy() as sampler:
        token = 0
        for _ in range(n):
            ctx.decode((token,))
            token = sampler.sample(ctx)


def _result(work: str, tokens: int, threads: int, speeds: list[float]) -> _Result:
    low = median = high = speeds[0]
    if len(speeds) > 1:
        low, median, high = statistics.quantiles(speeds, n=4, method="inclusive")
    return _Result(work, tokens, threads, median, low, high, speeds)
