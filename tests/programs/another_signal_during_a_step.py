"""Has a signal's handler raise at random moments of steps that take locks or threads: MODEL.

Prints other exceptions, and steps that fail afterwards.
"""

import random
import signal
import sys
from collections.abc import Callable

from llama_cpp import Llama, LlamaLibrary
from llama_cpp.native import calls


class Alarm(Exception):
    pass


def handler(*_: object) -> None:
    raise Alarm


def forget(what: object) -> None:
    """Record exceptions of a handler that runs in a function called by Python itself."""
    forgotten.append(what)


forgotten: list[object] = []
sys.unraisablehook = forget
signal.signal(signal.SIGALRM, handler)
llm = Llama(sys.argv[1], n_ctx=64, n_threads=1)
right = llm.complete([1, 2], max_tokens=2, temperature=0).tokens


def holds() -> None:
    with llm.ctx.core.held():
        pass


def decodes() -> None:
    llm.ctx.memory.clear()
    llm.ctx.decode([1])


def generates() -> None:
    assert llm.complete([1, 2], max_tokens=2, temperature=0).tokens == right


def guards() -> None:
    assert calls.guarded(LlamaLibrary.default(), lambda: 5, "it") == 5


def waits() -> None:
    assert calls.abandonable(lambda: 5, lambda: False, 60, ValueError("late")) == 5


STEPS: tuple[Callable[[], None], ...] = (holds, decodes, generates, guards, waits)
for step in STEPS:
    for _ in range(400):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-4))
            while not forgotten:
                step()
        except Alarm:
            pass
        except BaseException as error:
            print(step.__name__, repr(error))
        forgotten.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        step()
print("done")
