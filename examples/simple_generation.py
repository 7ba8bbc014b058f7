"""Text from a prompt, after llama.cpp's examples/simple/simple.cpp: same arguments, same tokens.

python examples/simple_generation.py -m model.gguf [-n n_predict] [-ngl n_gpu_layers] [prompt]
"""

from __future__ import annotations

import argparse
import sys
import time

from llama_cpp import LlamaBatch, LlamaContext, LlamaError, LlamaModel, LlamaSampler


def generate(path: str, prompt: str, n_predict: int, n_gpu_layers: int) -> None:
    """Write the prompt and up to ``n_predict`` tokens after it to stdout, the speed to stderr."""
    out = sys.stdout.buffer  # bytes: a token may end in the middle of a character
    model = LlamaModel.from_file(path, n_gpu_layers=n_gpu_layers)
    tokens = model.tokenize(prompt, parse_special=True)
    if not tokens:
        raise ValueError("the prompt is empty: give at least one word")
    for token in tokens:
        out.write(model.token_to_bytes(token))
    out.flush()

    with LlamaContext(model, n_ctx=len(tokens) + n_predict - 1, n_batch=len(tokens)) as ctx:
        sampler = LlamaSampler.chain().greedy()
        if model.has_encoder:
            ctx.encode(LlamaBatch(tokens))
            start = model.decoder_start_token
            tokens = [(model.vocab.bos or 0) if start is None else start]
        started = time.perf_counter()
        n_decoded = 0
        batch = LlamaBatch(tokens)
        for n_generated in range(n_predict):
            ctx.decode(batch)
            token = sampler.sample(ctx)
            if model.is_eog(token):
                break
            out.write(model.token_to_bytes(token))
            out.flush()
            n_decoded += 1
            if n_generated + 1 < n_predict:
                batch = LlamaBatch([token])
        seconds = time.perf_counter() - started
    out.write(b"\n")
    out.flush()
    print(
        f"decoded {n_decoded} tokens in {seconds:.2f} s, speed: {n_decoded / seconds:.2f} t/s",
        file=sys.stderr,
    )


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Generate text from a prompt.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("-n", dest="n_predict", type=int, default=32, help="tokens to generate")
    parser.add_argument("-ngl", dest="n_gpu_layers", type=int, default=-1, help="layers on the GPU")
    parser.add_argument("prompt", nargs="*", default=["Hello my name is"])
    options = parser.parse_args()
    if options.n_predict < 1:
        parser.error("-n must be at least 1")
    try:
        generate(options.model, " ".join(options.prompt), options.n_predict, options.n_gpu_layers)
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
