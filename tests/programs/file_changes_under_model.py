"""Removes, replaces or truncates the file of a loaded model: SOURCE COPY HOW MODE."""

import os
import shutil
import sys

from llama_cpp import Llama

source, copy, how, mode = sys.argv[1:]
shutil.copy(source, copy)
llm = Llama(copy, load_mode=int(mode), n_ctx=256, n_threads=1, n_threads_batch=1)


def tokens():
    return llm.complete("the cat", max_tokens=8, temperature=0, cache_prompt=False).tokens


before = tokens()
if how == "removed":
    os.remove(copy)
elif how == "replaced":
    shutil.copy(__file__, copy + ".new")
    os.replace(copy + ".new", copy)
else:
    os.truncate(copy, 4096)
print(tokens() == before)
