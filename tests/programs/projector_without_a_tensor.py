"""Loads a projector with each tensor missing in turn: MODEL MMPROJ TARGET."""

import pathlib
import sys

import gguf

from checks import mutants
from llama_cpp import LlamaContext, LlamaModel, LlamaModelError, LlamaMultimodal

PIXEL = bytes.fromhex(
    "424d3a0000000000000036000000280000000100000001000000010018000000000004000000"
    "00000000000000000000000000000000ffffff00"
)
model_path, path, target = map(pathlib.Path, sys.argv[1:])
model = LlamaModel.from_file(model_path)
whole = mutants.Gguf(path.read_bytes())
for tensor in gguf.GGUFReader(path).tensors:
    target.write_bytes(mutants.without(whole, tensor.name))
    try:
        with LlamaMultimodal(model, target, n_threads=1) as both:
            media = both.audio([0.0] * 999) if both.has_audio else both.image(PIXEL)
            with LlamaContext(model, n_ctx=64, n_threads=1) as ctx:
                both.eval(ctx, both.tokenize(both.marker + "a", [media]))
        print(tensor.name, "works")
    except LlamaModelError as error:
        print(tensor.name, error)
