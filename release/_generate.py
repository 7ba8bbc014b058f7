"""Run in the environment under test: generates a little, and prints the text and the library.

python _generate.py MODEL TOKENS

"lead" is the smallest distance of a likeliest token from the next, in log probabilities. The code
for each kind of CPU rounds differently, by some tenths with a small quantized model.
"""

import json
import re
import sys
from pathlib import Path

from llama_cpp import Llama
from llama_cpp.errors import LlamaError

PROMPT = "One, two, three, four, five, six, seven, eight, nine, ten. One, two, three,"

try:
    with Llama(sys.argv[1], n_ctx=128, n_threads=1) as llm:
        text = ""
        generation = llm.generate(PROMPT, max_tokens=int(sys.argv[2]), temperature=0, logprobs=2)
        for piece in generation:
            text += piece
            print(piece, end="", flush=True)
        lead = min(t.top[0].logprob - t.top[1].logprob for t in generation.logprobs)
        devices = list(llm.model.layers)
        library = llm.model.library
        path = str(library.path)
        # The code for each kind of CPU is a library of its own.
        cpu = library.has("ggml_backend_cpu_init") and library.short.ggml_cpu_has_fma() in (0, 1)
except LlamaError as error:
    sys.exit(f"{type(error).__name__}: {error}")
if not cpu:
    sys.exit("the functions of ggml-cpu.h were not found")
maps = Path("/proc/self/maps")
code = re.findall(r"libggml-cpu-(\S+)\.so", maps.read_text()) if maps.exists() else []
result = {"text": text, "lead": lead, "library": path, "code": sorted(set(code))}
result["devices"] = devices
print("\n" + json.dumps(result))
