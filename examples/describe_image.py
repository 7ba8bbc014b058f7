"""Ask a model that can see about images.

python examples/describe_image.py MODEL MMPROJ IMAGE... [--question TEXT] [--max-tokens N]
"""

from __future__ import annotations

import argparse
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaMultimodal
from llama_cpp.errors import LlamaError


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("mmproj", help="the GGUF file of its projector")
    parser.add_argument("images", nargs="+", help="PNG, JPEG, BMP or GIF files")
    parser.add_argument("--question", default="What is in this picture?")
    parser.add_argument("--max-tokens", type=int, default=128)
    arguments = parser.parse_args()

    with (
        LlamaModel.from_file(arguments.model) as model,
        LlamaMultimodal(model, arguments.mmproj) as eyes,
        LlamaContext(model, n_ctx=4096, n_batch=2048, n_ubatch=2048) as ctx,
    ):
        images = [eyes.image(path) for path in arguments.images]
        content = eyes.marker * len(images) + arguments.question
        messages = [{"role": "user", "content": content}]
        done = eyes.chat(ctx, messages, images, max_tokens=arguments.max_tokens, temperature=0)
        print(done.text)
        print(f"{done.usage.prompt_tokens} tokens of prompt, {done.usage.completion_tokens} new")


if __name__ == "__main__":
    try:
        main()
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
