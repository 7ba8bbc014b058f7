"""EleutherAI's lm-evaluation-harness with `llama_cpp.lm_eval`, against the same tasks through
llama-server: ``make checks NAME=lm-eval``.

The tasks are made here, so that nothing is fetched but the harness itself, into build/lm-eval. The
weights and the KV cache are F32, without flash attention: anything rounded to fewer bits is rounded
otherwise in a batch of another size, and here a text is one batch, there one for each token.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.python import ROOT

HARNESS = "lm-eval==0.4.13"
FOLDER = ROOT / "build/lm-eval"
TOLERANCE = 1e-5  # of a number, or of 1 if that is less
CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Egypt": "Cairo"}
PROMPT = "Q: What is the capital of {{country}}?\nA:"
TASKS: dict[str, dict[str, Any]] = {
    "choices": {
        "output_type": "multiple_choice",
        "doc_to_text": PROMPT,
        "doc_to_choice": list(CAPITALS.values()),
        "doc_to_target": "{{capital}}",
        "num_fewshot": 2,
    },
    "text": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{long}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "answers": {
        "output_type": "generate_until",
        "doc_to_text": PROMPT,
        "doc_to_target": "{{capital}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    },
}


def main() -> int:
    """0 the numbers are the same, 1 not."""
    if not (FOLDER / "lm_eval").is_dir():
        install: list[str | Path] = ["uv", "pip", "install", "--quiet", "--target", FOLDER, HARNESS]
        subprocess.run([sys.executable, "-m", *install], check=True)
    if str(FOLDER) not in sys.path:
        path = os.pathsep.join([str(ROOT), str(FOLDER)])
        env = {**os.environ, "PYTHONPATH": path, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run([sys.executable, "-m", "checks.lm_eval"], env=env).returncode
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name))


def compare(folder: Path) -> int:
    """Run the tasks both ways and print the numbers."""
    from examples.fetch_model import fetch_model
    from llama_cpp import Llama, LlamaLibrary, _raw, quantize
    from llama_cpp.lm_eval import LlamaLM
    from tests.support import llamaserver

    (model,) = quantize(fetch_model(), folder / "f32.gguf", "F32", allow_requantize=True)
    exact: Any = {
        "type_k": _raw.GGML_TYPE_F32,
        "type_v": _raw.GGML_TYPE_F32,
        "flash_attn_type": _raw.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }
    there_too = ("-ctk", "f32", "-ctv", "f32", "-fa", "off", "-c", 512)
    with Llama(model, n_ctx=64, n_seq_max=2, **exact) as llm:
        here = evaluate(LlamaLM(llm), folder)
        with llamaserver.running(LlamaLibrary.default(), model, folder, *there_too) as server:
            llamaserver.wait(server)
            there = evaluate(through(llm, server), folder)
    apart = 0.0
    for task in TASKS:
        metrics = {k: v for k, v in here["results"][task].items() if isinstance(v, float)}
        for metric, value in metrics.items():
            other = there["results"][task][metric]
            print(f"{task} {metric}: {value:.5f} here, {other:.5f} through the server")
            apart = max(apart, distance(value, other))
        for one, other in zip(here["samples"][task], there["samples"][task], strict=True):
            print(f"  {one['resps']} | {other['resps']}")
            apart = max(apart, distance(one["resps"], other["resps"]))
    print(f"greatest difference: {apart:.2g} (at most {TOLERANCE})")
    return int(apart > TOLERANCE)


def evaluate(lm: Any, folder: Path) -> Any:
    """The harness's results for the tasks, with the samples."""
    import lm_eval

    file = folder / "documents.jsonl"
    story = "The cat sat on the mat and looked at the sea. "
    lines = [
        {"country": country, "capital": capital, "long": f"{story * times}{country}."}
        # One is longer than the context, which has 64 tokens.
        for times, (country, capital) in zip((6, 1, 1, 1), CAPITALS.items(), strict=True)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}}
    both = {"test_split": "test", "fewshot_split": "test", "target_delimiter": " "}
    tasks = [{"task": name, **data, **both, **task} for name, task in TASKS.items()]
    return lm_eval.simple_evaluate(lm, tasks=tasks, log_samples=True, bootstrap_iters=0)


def through(llm: Any, server: Any) -> Any:
    """A model of the harness whose numbers are llama-server's, token by token; ``llm`` only says
    which tokens are meant."""
    from llama_cpp.lm_eval import LlamaLM
    from tests.support import llamaserver

    class Scores:
        """`Llama.score` by requests."""

        def __init__(self, logprob: float, greedy: bool) -> None:
            self.logprob, self.greedy = logprob, greedy

    def score(start: Any, answers: Any) -> list[Scores]:
        return [of_answer([*start], answer) for answer in answers]

    def of_answer(tokens: list[int], answer: list[int]) -> Scores:
        total, greedy = 0.0, True
        for token in answer:
            body = {"prompt": tokens, "n_predict": 1, "n_probs": llm.model.vocab.n_tokens}
            (found,) = llamaserver.ask(server, "completion", body)["completion_probabilities"]
            logprobs = {top["id"]: top["logprob"] for top in found["top_logprobs"]}
            # llama-server adds the probabilities up as floats: their sum is 1 to four digits only.
            total += logprobs[token] - math.log(math.fsum(map(math.exp, logprobs.values())))
            greedy &= token == max(logprobs, key=logprobs.__getitem__)
            tokens = [*tokens, token]
        return Scores(total, greedy)

    class Through(LlamaLM):
        def generate_until(self, requests: list[Any]) -> list[str]:
            return [
                llamaserver.ask(server, "completion", {
                    "prompt": request.args[0], "n_predict": 12, "stop": ["\n"], "temperature": 0,
                })["content"]
                for request in requests
            ]  # fmt: skip

    lm = Through(llm)
    llm.score = score
    return lm


def distance(one: Any, other: Any) -> float:
    """The greatest difference between two numbers at the same place, in parts of them; 1.0 if
    anything else differs."""
    if isinstance(one, list | tuple):
        return max((distance(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, float):
        return abs(one - other) / max(1.0, abs(one))
    return float(one != other)


if __name__ == "__main__":
    sys.exit(main())
