"""Writes models where no file may be larger than a limit: SOURCE TARGET."""

import resource
import signal
import sys
from pathlib import Path

from llama_cpp import LlamaError, LlamaModel, LlamaModelError, quantize

source, target = map(Path, sys.argv[1:])
model = LlamaModel.from_file(source)
sys.dont_write_bytecode = True
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for size in (0, 1000, 100_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    refused = []
    for write in (lambda: model.save(target), lambda: quantize(source, target, "Q8_0")):
        try:
            write()
        except LlamaError as error:
            refused.append(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # stdout may be a file
    saved, quantized = refused
    assert isinstance(saved, LlamaModelError), saved
    assert any(s in str(saved) for s in ("could not be written", "cannot be saved")), saved
    assert "writing failed; the disk may be full" in str(quantized), quantized
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]
