"""``python -m bench [--rounds N] [--plot FILE] [topic ...]``: all topics, or those that are named.

It reports every measured result; it fails only if something cannot be measured.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

from llama_cpp import _raw
from llama_cpp.engine.machine import usable_cores

from . import (
    agent,
    cancel,
    generation,
    grammar,
    guards,
    plot,
    rpc,
    service,
    share,
    speculative,
    spin,
    start,
    text,
)
from .build import CannotMeasure
from .place import Place, Topic
from .report import Table, summary

TOPICS: dict[str, Topic] = {
    "share": share.share,
    "busy": share.busy,
    "guards": guards.guards,
    "generation": generation.generation,
    "tiny": generation.tiny,
    "prompt": generation.prompt,
    "parallel-1": generation.parallel(1),
    "parallel-4": generation.parallel(4),
    "parallel-16": generation.parallel(16),
    "service": service.service,
    "talks": service.talks,
    "spin": spin.spin,
    "tokenize": text.tokenize,
    "detokenize": text.detokenize,
    "pieces": text.pieces,
    "embeddings": text.embeddings,
    "grammar": grammar.grammar,
    "speculative": speculative.speculative,
    "cancel": cancel.cancel,
    "agent": agent.agent,
    "rpc": rpc.rpc,
    "import": start.imports,
    "start": start.first,
    "prompt-cache": start.stored,
    "load": start.load,
    "memory": start.memory,
    "generator": start.generator,
}
LEAST_ROUNDS = 7


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--model", type=Path, help="a GGUF file in place of SmolLM2")
    parser.add_argument("--plot", type=Path, help="an SVG of the ratios")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.topics) - set(TOPICS))
    if unknown:
        parser.error(f"no topic {', '.join(unknown)}: there are {', '.join(TOPICS)}")
    topics = given.topics or list(TOPICS)
    begun = time.perf_counter()
    measured: dict[str, Table] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), given.rounds, given.threads, given.model)
        caption = (
            f"llama.cpp {_raw.TAG}, {place.threads} threads, Python {platform.python_version()}: "
            f"the median of {given.rounds} or more interleaved rounds [and its quartiles]"
        )
        print(caption)
        for i, name in enumerate(topics, 1):
            so_far = time.perf_counter() - begun
            print(f"{so_far:5.0f} s  {i} of {len(topics)}: {name}", file=sys.stderr, flush=True)
            try:
                measured[name] = TOPICS[name](place)
                print(f"\n{name}: {measured[name]}", flush=True)
            except CannotMeasure as error:
                print(f"\n{name}: {error}", flush=True)
            print(f"  ({time.perf_counter() - begun - so_far:.0f} s)", flush=True)
    print(f"\n{summary(measured)}\n({(time.perf_counter() - begun) / 60:.0f} minutes)")
    if given.plot:
        given.plot.write_text(plot.svg(measured, caption), "utf-8")
    failed = [name for name in topics if name not in measured]
    if failed:
        print(f"\ncould not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
