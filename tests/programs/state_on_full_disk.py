"""Saves states where no file may be larger than a limit: MODEL TARGET."""

import resource
import signal
import sys
from pathlib import Path

from llama_cpp import LlamaContext, LlamaModel

target = Path(sys.argv[2])
model = LlamaModel.from_file(sys.argv[1])
with LlamaContext(model, n_ctx=256, n_threads=1) as ctx, ctx.sequence() as seq:
    seq.extend(range(270, 275))
    seq.save(target)
    old = target.read_bytes()
    seq.extend(range(270, 300))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    for save in (seq.save, ctx.save):
        try:
            save(target)
        except OSError as error:
            print(error.strerror)
    assert target.read_bytes() == old
    assert list(target.parent.iterdir()) == [target]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    seq.save(target)
    assert len(target.read_bytes()) > len(old)
