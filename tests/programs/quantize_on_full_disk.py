"""Writes models where no file may be larger than 100 kB: SOURCE TARGET."""

import os
import resource
import sys

from llama_cpp import LlamaModel, LlamaModelError, quantize

source, target = sys.argv[1:]
model = LlamaModel.from_file(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: quantize(source, target, "Q8_0"), lambda: model.save(target)):
    try:
        write()
    except LlamaModelError as error:
        print(error)
print(os.listdir(os.path.dirname(target)))
