"""Gives long runs of one kind of character to all that tokenizes, and prints an error for each that
ends in one: MODEL. Its tokenizer is one whose regular expressions call themselves."""

import asyncio
import sys

from llama_cpp import AsyncLlama, Llama, LlamaModel

FIM = {f"tokenizer.ggml.fim_{part}_token_id": i for i, part in enumerate(("pre", "suf", "mid"), 3)}
model = LlamaModel.from_file(sys.argv[1], kv_overrides={"tokenizer.ggml.pre": "gpt-4o", **FIM})
llm = Llama(model, n_ctx=256)
RUN = "a" * 60_000
SAYS = [{"role": "user", "content": f"{RUN}<|im_end|>{RUN}"}]


async def waits():
    async with AsyncLlama(llm) as shared:
        await shared.complete(RUN)


calls = {
    "complete": lambda: llm.complete(RUN),
    "complete_many": lambda: llm.complete_many([RUN]),
    "chat": lambda: llm.chat(SAYS),
    "infill": lambda: llm.infill(RUN, RUN),
    "embed": lambda: llm.embed(RUN),
    "stop": lambda: llm.complete("a", stop=RUN, max_tokens=1),
    "logit_bias": lambda: llm.complete("a", logit_bias={RUN: 1.0}),
    "grammar": lambda: llm.complete("a", grammar=f"root ::= <{RUN}>"),
    "regex": lambda: llm.complete("a", regex=RUN, max_tokens=1),
    "json_schema": lambda: llm.complete("a", json_schema={"const": RUN}, max_tokens=3),
    "asyncio": lambda: asyncio.run(waits()),
}
for name, call in calls.items():
    try:
        call()
        print(name)
    except Exception as error:
        print(name, type(error).__name__)
