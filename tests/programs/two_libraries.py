"""Uses the null engine and libmtmd in one process: LIBRARY NULL_MODEL MODEL MMPROJ."""

import sys

import numpy as np

from llama_cpp import LlamaLibrary, LlamaModel, LlamaMultimodal

null, null_model, model, mmproj = sys.argv[1:]
LlamaModel.from_file(null_model, library=LlamaLibrary(null))
eyes = LlamaMultimodal(LlamaModel.from_file(model), mmproj, n_threads=1)
image = eyes.image(np.zeros((20, 30, 3), np.uint8))
chunks = eyes.tokenize("the cat " + eyes.marker, [image])
print(eyes.model.detokenize(chunks[0].tokens))
