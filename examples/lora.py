"""The same prompt without and with LoRA adapters, on one model and one context.

python examples/lora.py -m model.gguf --lora adapter.gguf[=scale] ... [-n n_predict] [prompt]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from llama_cpp import LlamaContext, LlamaError, LlamaLora, LlamaModel, LlamaSampler


def complete(ctx: LlamaContext, prompt: str, n_predict: int) -> str:
    """The most likely continuation, with the adapters that ``ctx`` has now."""
    ctx.memory.clear()  # the cached tokens were computed with other adapters
    sampler = LlamaSampler.chain().greedy()
    decoder = ctx.model.decoder()
    tokens = ctx.model.tokenize(prompt)
    text = ""
    for _ in range(n_predict):
        ctx.decode(tokens)
        token = sampler.sample(ctx)
        if ctx.model.is_eog(token):
            break
        text += decoder.feed(token)
        tokens = [token]
    return text


def adapter(argument: str) -> tuple[str, float]:
    """``file`` or ``file=scale``."""
    path, _, scale = argument.partition("=")
    return path, float(scale or 1)


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Compare a model with and without adapters.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument(
        "--lora", action="append", required=True, type=adapter, help="a GGUF adapter, or file=scale"
    )
    parser.add_argument("-n", dest="n_predict", type=int, default=32, help="tokens to generate")
    parser.add_argument("prompt", nargs="*", default=["Hello my name is"])
    options = parser.parse_args()
    prompt = " ".join(options.prompt)
    try:
        model = LlamaModel.from_file(options.model)
        loras: dict[LlamaLora, float] = {}
        for path, scale in options.lora:
            lora = model.load_lora(path)
            loras[lora] = scale
            print(f"{path}: {lora.metadata.get('general.name', 'no name')}, scale {scale}")
        with LlamaContext(model, n_ctx=512) as ctx:
            settings: list[tuple[str, Mapping[LlamaLora, float]]]
            settings = [("without", {}), ("with", loras), ("without again", {})]
            for label, setting in settings:
                ctx.set_loras(setting)
                print(f"{label}: {prompt}{complete(ctx, prompt, options.n_predict)}")
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
