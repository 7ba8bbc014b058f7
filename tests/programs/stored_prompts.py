"""Completes prompts with a prompt cache: MODEL FOLDER MAX_BYTES PROMPT ...

Prints the text of each, and how many of its tokens were there already.
"""

import json
import sys

from llama_cpp import Llama
from llama_cpp.context import PromptCache

model, folder, max_bytes, *prompts = sys.argv[1:]
cache = PromptCache(folder, max_bytes=int(max_bytes), min_tokens=16)
for prompt in prompts:
    with Llama(model, n_ctx=512, n_threads=1, n_threads_batch=1, prompt_cache=cache) as llm:
        done = llm.complete(prompt, max_tokens=8, temperature=0)
    print(json.dumps([done.text, done.usage.cached_tokens]))
