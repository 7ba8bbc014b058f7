"""Many prompts on a Ray cluster of two nodes on this machine: ``python -m checks.rays [-n N]``.

A second time with a tenth of the prompts, where a node ends as soon as a quarter of the rows is
there. Each row must be answered once, and every answer is the one that the prompt has alone.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}

import ray
from ray.cluster_utils import Cluster

from llama_cpp import Llama
from llama_cpp.ray import LlamaPredictor
from tests.support import tiny

_WORDS = ("the", "cat", "sat", "on a mat", "and was", "once", "in time", "of hello world", "to be")
_EXACT: dict[str, Any] = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}
_OPTIONS: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
_KINDS = 40  # different prompts
_ATTEMPTS = 5
_STORE = 100 << 20  # bytes


def prompt(i: int) -> str:
    """Prompt ``i``, of a few words; one kind is too long for the context."""
    kind = i % _KINDS
    return " ".join(_WORDS[(kind + k) % len(_WORDS)] for k in range(kind % 7 + 1 if kind else 400))


def answers(model: Path) -> dict[str, str]:
    """The text of each kind of prompt, computed alone."""
    with Llama(model, n_ctx=256, n_threads=1, **_EXACT) as llm:
        return {prompt(i): llm.complete(prompt(i), **_OPTIONS).text for i in range(1, _KINDS)}


def node() -> dict[str, Any]:
    """The settings of a node, with a CPU for an engine and one for the rest of Ray. With given
    ports it does not wait for most of its agents, for which it lacks patience on a busy machine.
    """
    names = [f"{name}_port" for name in ("metrics_agent", "metrics_export", "runtime_env_agent")]
    names.append("dashboard_agent_listen_port")
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    return {"num_cpus": 2, "object_store_memory": _STORE, **ports}


def start() -> tuple[Cluster, Any]:
    """A cluster of two nodes, and the second one. Ray gives an agent 15 seconds to start."""
    for attempt in range(_ATTEMPTS):
        cluster = Cluster()
        try:
            cluster.add_node(**node())
            second = cluster.add_node(**node())
            cluster.wait_for_nodes()
            return cluster, second
        except Exception:
            cluster.shutdown()
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def run(n: int, lose: bool) -> tuple[Counter[str], float]:
    """How many rows were right, failed, wrong, answered again, or are missing; and the seconds
    after the start of the cluster."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny.make("llama", Path(folder))
        alone = answers(model)
        cluster, second = start()
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            begun = time.monotonic()
            data = ray.data.range(n, override_num_blocks=16).map_batches(
                lambda batch: {**batch, "prompt": [prompt(i) for i in batch["id"]]}, num_cpus=0
            ).map_batches(
                LlamaPredictor,
                fn_constructor_args=[str(model)],
                fn_constructor_kwargs={"options": _OPTIONS, "n_ctx": 256, **_EXACT},
                batch_size=64, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=2),
            )  # fmt: skip
            seen: set[int] = set()
            for row in data.iter_rows():
                if lose and len(seen) == n // 4:
                    cluster.remove_node(second, allow_graceful=False)
                    lose = False
                ends["answered again"] += row["id"] in seen
                seen.add(row["id"])
                expected = alone.get(row["prompt"])
                if expected is None:
                    ends["failed" if row["error"] and not row["text"] else "wrong"] += 1
                else:
                    right = row["text"] == expected and not row["error"]
                    ends["right" if right else "wrong"] += 1
                    if not right:
                        print(f"wrong, for {expected!r}: {row}", flush=True)
            ends["missing"] = n - len(seen)
            seconds = time.monotonic() - begun
        finally:
            ray.shutdown()
            cluster.shutdown()
    return ends, seconds


def main() -> int:
    parser = argparse.ArgumentParser(description="Many prompts on a Ray cluster of two nodes.")
    parser.add_argument("-n", type=int, default=10_000, help="prompts")
    given = parser.parse_args()
    bad = 0
    for n, lose in ((given.n, False), (max(given.n // 10, 100), True)):
        ends, seconds = run(n, lose)
        failed = len(range(0, n, _KINDS))
        bad += +ends != Counter(right=n - failed, failed=failed)
        what = "a node lost" if lose else "two nodes"
        print(f"{n} rows, {what}, {seconds:.0f} s: {dict(ends)}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
