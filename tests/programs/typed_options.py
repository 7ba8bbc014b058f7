"""Options as dicts and with None, for type checkers: it is not run."""

from typing import Any

from llama_cpp import AsyncLlama, Llama, LlamaModel
from llama_cpp.generate import ChatGenerationOptions, Completion, GenerationOptions, LlamaParams

PARAMS: LlamaParams = {"n_ctx": 512, "n_seq_max": 2, "devices": None}
TYPED: GenerationOptions = {"max_tokens": 5, "stop": None, "seed": None, "dry_multiplier": 0.8}
CHAT: ChatGenerationOptions = {"max_tokens": None, "stop": ["."], "thinking": None}


def use(llm: Llama, read: dict[str, Any], numbers: dict[str, Any]) -> list[Completion]:
    Llama("model.gguf", **PARAMS)
    Llama("model.gguf", **numbers)
    LlamaModel.from_file("model.gguf", **numbers)
    "".join(llm.generate("x", **TYPED))
    "".join(llm.chat_stream([], **read))
    done = [
        llm.complete("x", **TYPED),
        llm.complete("x", n=2, **read),
        llm.complete("x", stop=None),
    ]
    done += [llm.chat([], **CHAT), llm.chat([], seed=None, n=3), llm.chat([], **read)]
    done += llm.complete_many(["x"], [TYPED, {"grammar": None}], **read)
    return done


async def wait(llm: AsyncLlama, read: dict[str, Any]) -> list[Completion]:
    scores = await llm.score("x", ["a", [1, 2]])
    print(sum(score.logprob for score in scores))
    return [await llm.complete("x", **TYPED, n=2), *await llm.complete_many(["x"], **read)]
