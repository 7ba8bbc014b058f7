"""Makes good and bad grammars in threads, while another one writes lines to stderr: MODEL."""

import os
import sys
import threading

from llama_cpp import LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaSamplerError

model = LlamaModel.from_file(sys.argv[1], vocab_only=True)
before = os.fstat(2)


def make() -> None:
    for text in ['root ::= "a" | [b-d]+', "root ::= (", "root ::= x"] * 30:
        try:
            LlamaSampler.chain().grammar(model, text).close()
        except LlamaSamplerError:
            continue


threads = [threading.Thread(target=make) for _ in range(4)]
for thread in threads:
    thread.start()
n = 0
while any(thread.is_alive() for thread in threads):
    os.write(2, b"line\n")
    n += 1
print("same" if os.path.samestat(before, os.fstat(2)) else "another", n)
