"""Uses the public classes in wrong ways, a scenario for each line that it reads, and prints the
outcome.

    python -m checks.apiworker FOLDER

FOLDER has the valid files (`fuzzworker.prepare`). A line is "api NUMBER"; a scenario is some calls
of anything public with anything, of objects that live on. The answer is "loaded" with how many
calls returned and how many raised, or "untyped" with an exception that nobody raised on purpose.
The calls are listed in FOLDER/mutant-PID.
"""

from __future__ import annotations

import array
import asyncio
import copy
import ctypes
import decimal
import faulthandler
import gc
import inspect
import linecache
import math
import os
import pickle
import random
import re
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import llama_cpp
from checks import fuzzworker
from llama_cpp import _params
from llama_cpp.context.params import _CACHE_TYPES
from llama_cpp.generate import options

_PACKAGE = str(Path(llama_cpp.__file__).parent)
CRASH, OBSCURE, STRAY = -1, -2, -3
_STEPS = 14
_MOST = 24
_DEPTH = 2
_FORK = hasattr(os, "fork")
_WAIT = fuzzworker.SECONDS - 20
"""For threads and forked processes, which may wait for a process that tries a projector."""
_TYPED = (
    TypeError, ValueError, OSError, MemoryError, llama_cpp.LlamaError, ModuleNotFoundError,
    StopIteration, StopAsyncIteration, asyncio.CancelledError,
)  # fmt: skip
# Methods that start processes, use the network or read raw memory; and other packages' objects.
_NOT = {"from_pretrained", "handle", "struct", "throw", "library"}

_NOT_OURS = r"Wrong|EventLoop' object has no attribute '_ssock'|KeyError'>: <Thread\("
"""Of unraisable errors: the scenario's own, and Python's where a handler raised while asyncio made
a loop, or `threading` a thread."""


class Wrong(Exception):
    """The exception of the scenario's own functions."""


class Number(int):
    """An int that compares as it likes."""

    def __eq__(self, other: object) -> bool:
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = int.__hash__


class Text(str):
    """A str likewise."""


class Index:
    """A number that does something when it is asked for."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def __index__(self) -> Any:
        return self.act()

    __float__ = __len__ = __bool__ = __index__


class Items:
    """A sequence that lies about its length, and does something on the way."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: Any) -> Any:
        if not isinstance(i, int) or i > 4:
            raise IndexError(i)
        return self.act() if i == 3 else i


class Sampler:
    """A sampler in Python."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self.apply = act
        self.accept = act


class Scenario:
    """Some calls, and their outcomes."""

    def __init__(self, number: int, folder: Path, log: TextIO) -> None:
        self.number = number
        self.chance = random.Random(f"api {number}")
        self.folder = folder
        self.log = log
        self.pool: list[Any] = []
        self.depth = 0
        self.returned = self.raised = 0
        self.untyped: list[str] = []
        self.implicit: list[str] = []

    # -- values

    def nasty(self) -> Any:
        """Anything."""
        chance = self.chance
        return chance.choice([
            lambda: None,
            lambda: chance.choice([True, False]),
            lambda: chance.choice([0, 1, -1, 2, 3, 5, 64, 300]),
            lambda: chance.choice([2**31 - 1, 2**31, -(2**31), 2**32, 2**63, -(2**63), 10**30]),
            lambda: chance.choice([0.0, -0.0, 1.5, -1.0, math.nan, math.inf, -math.inf, 1e308]),
            lambda: chance.choice(["", "a", "the cat", "a\0b", "\ud800", "\u00e9" * 9]),
            lambda: chance.choice(" a.7\u4e2d\n$\t") * chance.choice([2, 60_000]),
            lambda: chance.choice(["x" * 5000, " ", "\n", "<|im_end|>", "root ::= ", "("]),
            lambda: chance.choice([b"", b"a\0b", b"\xff\xfe", bytearray(b"ab"), memoryview(b"ab")]),
            lambda: chance.choice([[], [0], [1, 2, 3], [-1], [10**6], [2**40], ["a"], [None]]),
            lambda: chance.choice([[[1]], (), (1,), (1, 2), ("a", "b"), set(), {1}, range(4)]),
            lambda: chance.choice([{}, {0: 1.0}, {"a": 1}, {"a": None}, {-1: "x"}, {1: math.nan}]),
            lambda: chance.choice([
                np.int32(3), np.int64(-1), np.uint64(2**63), np.float32(0.5), np.float64("nan"),
                np.bool_(True), np.str_("a"), np.array([1, 2]), np.array([0.5, math.inf]),
                np.zeros((0,)), np.zeros((2, 3), np.uint8), np.array(1), np.array([1, 2])[::-1],
            ]),
            lambda: chance.choice([Number(1), Number(10**6), Text("the cat"), decimal.Decimal(1)]),
            lambda: chance.choice([1j, ..., object(), object, int, len, Path("/no/such"), Path()]),
            lambda: array.array("i", [1, 2]),
            lambda: iter([1, 2, "a"]),
            lambda: (x for x in [1, self.act(), 2]),
            lambda: Index(self.act),
            lambda: Items(self.act),
            lambda: Sampler(self.act),
            lambda: self.act,
            lambda: self.some(),
            lambda: [self.some()],
            lambda: {self.chance.choice(["role", "content", "model"]): self.nasty()},
        ])()  # fmt: skip

    def act(self, *arguments: Any, **_: Any) -> Any:
        """The callbacks' body: wrong calls, some with their own arguments."""
        chance = self.chance
        for one in arguments:
            if type(one).__module__.startswith("llama_cpp"):
                self.keep(one)
        kind = chance.randrange(8)
        if kind == 0:
            raise Wrong("a callback")
        if kind == 1:
            return chance.choice([0, 1, 2, True, False, None, "a", -1, math.nan])
        if kind == 2:
            gc.collect()
        elif kind == 3:
            for one in arguments:
                self.call_of(one)
        elif kind == 4:
            self.step()
        elif kind == 5:
            close = getattr(self.some(), "close", None)
            if callable(close):
                close()
        elif kind == 6 and arguments:
            return arguments[0]
        return chance.choice([0, 1, 2, 3])

    def file(self) -> Path:
        """A file, of whatever kind."""
        names = ["llama-0.gguf", "mamba-0.gguf", "t5-0.gguf", "lora.gguf", "vector.gguf"]
        names += ["state.bin", "sequence.bin", "out.bin", "none.gguf", "mmproj-vision-64.gguf"]
        return self.folder / self.chance.choice(names)

    def fitting(self, name: str, hint: str) -> Any:
        """A value that makes some sense for the parameter ``name``."""
        chance = self.chance
        known: dict[str, Callable[[], Any]] = {
            "model": lambda: self.of("LlamaModel"),
            "ctx": lambda: self.of("LlamaContext"),
            "context": lambda: self.of("LlamaContext"),
            "batch": lambda: chance.choice([self.of("LlamaBatch"), [1, 2, 3], (4,)]),
            "tokens": lambda: [chance.randrange(1, 60) for _ in range(chance.randrange(1, 9))],
            "token": lambda: chance.randrange(60),
            "messages": lambda: [{"role": "user", "content": "the cat"}],
            "prompts": lambda: ["the cat", [1, 2, 3], "a mat"],
            "texts": lambda: ["the cat", "a mat"],
            "documents": lambda: ["the cat", "a mat"],
            "options": lambda: [{"max_tokens": 3}] * 3,
            "path": self.file,
            "source": self.file,
            "target": lambda: self.folder / "out.bin",
            "file": self.file,
            "cache_dir": lambda: self.folder,
            "seq_id": lambda: chance.randrange(3),
            "sampler": lambda: self.of("LlamaSampler"),
            "draft": lambda: self.of("PromptLookup"),
            "grammar": lambda: 'root ::= "a" | "the" root',
            "grammar_str": lambda: 'root ::= "a" | "the" root',
            "data": lambda: (self.folder / "state.bin").read_bytes(),
            "library": lambda: None,
            "projector": lambda: self.folder / "mmproj-vision-64.gguf",
            "temperature": lambda: chance.choice([0, 0.7, 1.5]),
            "max_tokens": lambda: chance.randrange(1, 7),
            "loras": list,
            "samplers": lambda: {0: llama_cpp.LlamaSampler.chain().greedy()},
            "rpc_servers": lambda: None,
            "timeout": lambda: 1.0,
            "seconds": lambda: chance.choice([0.0, 0.01, 5]),
        }  # fmt: skip
        if name in known:
            return known[name]()
        for word, values in (
            ("Callable", [self.act]), ("LlamaModel", [self.fitting("model", "")]),
            ("LlamaContext", [self.fitting("ctx", "")]), ("Sequence[str]", [["the"], ["a", "cat"]]),
            ("Iterable[int]", [[1, 2, 3]]), ("Sequence[float]", [[0.5] * 64, [1.0]]),
            ("str", ["the cat", "a"]), ("bool", [True, False]), ("float", [0.5, 1.0, 0]),
            ("int", [0, 1, 2, -1, 5]), ("bytes", [b"the cat"]), ("None", [None]),
        ):  # fmt: skip
            if word in hint:
                return chance.choice(values)
        return self.nasty()

    def value(self, name: str, hint: object) -> Any:
        """A value for the parameter ``name``: a fitting one, or any."""
        if name == "max_tokens":  # some generations are endless without it
            return self.chance.choice([*range(1, 7), 0, -1, "a", 1.5, 2**70, Number(3)])
        text = hint if isinstance(hint, str) else str(hint)
        return self.fitting(name, text) if self.chance.random() < 0.7 else self.nasty()

    # -- objects

    def keep(self, one: Any) -> None:
        """Use it again, later."""
        if len(self.pool) >= _MOST:
            del self.pool[self.chance.randrange(len(self.pool))]
        self.pool.append(one)

    def some(self) -> Any:
        """An object that is there, or a new one."""
        if self.pool and self.chance.random() < 0.8:
            return self.chance.choice(self.pool)
        return self.of(self.chance.choice(list(self.makers())))

    def cache(self) -> dict[str, Any]:
        """Sequences, and types of a KV cache, some of which lack operations."""
        chance = self.chance
        sequences = {"n_seq_max": chance.choice([1, 3])}
        if chance.random() < 0.6:
            return sequences
        k, v = chance.choices(_CACHE_TYPES, k=2)
        return sequences | {"type_k": k, "type_v": v, "flash_attn_type": chance.choice([-1, 0, 1])}

    def makers(self) -> dict[str, Callable[[], Any]]:
        """Functions that make the objects that the other calls need."""
        of, chance, folder = self.of, self.chance, self.folder
        model = lambda: of("LlamaModel")  # noqa: E731
        base = folder / "llama-0.gguf"
        small: Any = {"n_ctx": 64, "n_threads": 1, "n_threads_batch": 1}
        return {
            "LlamaModel": lambda: llama_cpp.LlamaModel.from_file(
                folder / f"{chance.choice([*['llama'] * 6, *fuzzworker.MODELS])}-0.gguf"
            ),
            "LlamaContext": lambda: llama_cpp.LlamaContext(
                model(), **small, **self.cache(), embeddings=chance.random() < 0.2
            ),
            "LlamaBatch": lambda: llama_cpp.LlamaBatch(
                [1, 2, 3], logits=chance.choice([None, True, [True, False, True]])
            ),
            "LlamaSampler": lambda: chance.choice([
                lambda: llama_cpp.LlamaSampler.chain().greedy(),
                lambda: llama_cpp.LlamaSampler.chain().top_k(5).temp(0.7).dist(3),
                lambda: llama_cpp.LlamaSampler.chain().custom(Sampler(self.act)).greedy(),
                lambda: llama_cpp.LlamaSampler.chain().grammar(model(), 'root ::= "a"+').greedy(),
                lambda: llama_cpp.LlamaSampler.chain(),
            ])(),
            "Llama": lambda: llama_cpp.Llama(
                chance.choice([base, model()]), **small, **self.cache()
            ),
            "AsyncLlama": lambda: llama_cpp.AsyncLlama(base, **small),
            "LlamaSequence": lambda: of("LlamaContext").sequence(),
            "Generation": lambda: of("Llama").generate("the cat", max_tokens=5),
            "Generations": lambda: of("Llama").generate_many(["the", "a mat"], max_tokens=4),
            "StreamDecoder": lambda: model().decoder(),
            "LlamaVocab": lambda: model().vocab,
            "PromptLookup": lambda: llama_cpp.PromptLookup(),
            "DraftModel": lambda: llama_cpp.DraftModel(base, **small),
            "LlamaLora": lambda: model().load_lora(folder / "lora.gguf"),
            "LlamaControlVector": lambda: llama_cpp.LlamaControlVector({1: [0.5] * 64}),
            "LlamaMultimodal": lambda: llama_cpp.LlamaMultimodal(
                llama_cpp.LlamaModel.from_file(base), folder / "mmproj-vision-64.gguf", n_threads=1
            ),
            "LlamaMedia": lambda: of("LlamaMultimodal").image(np.zeros((40, 30, 3), np.uint8)),
            "LlamaChunks": lambda: of("LlamaMultimodal").tokenize("the cat"),
            "LlamaDevice": lambda: llama_cpp.devices()[0],
            "memoryview": lambda: of("LlamaContext").logits(),
        }  # fmt: skip

    def of(self, kind: str) -> Any:
        """An object of ``kind``: one that is there, or a new one."""
        there = [one for one in self.pool if type(one).__name__ == kind]
        if there and self.chance.random() < 0.8:
            return self.chance.choice(there)
        made = self.makers()[kind]()
        self.keep(made)
        return made

    # -- calls

    def arguments(self, function: Any, owner: str) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for ``function``, most of the right names."""
        chance = self.chance
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            return [self.nasty() for _ in range(chance.randrange(3))], {}
        given: list[Any] = []
        named: dict[str, Any] = {}
        for one in parameters:
            if one.kind is one.VAR_KEYWORD:
                keys = self.keywords(str(one.annotation), owner)
                for key in chance.sample(keys, min(len(keys), chance.choice([0, 1, 1, 2, 4]))):
                    named[key] = self.value(key, "int float bool")
                if "max_tokens" in keys:
                    named["max_tokens"] = self.value("max_tokens", "")
            elif one.kind is one.VAR_POSITIONAL:
                given += [self.nasty() for _ in range(chance.randrange(2))]
            elif one.default is one.empty or chance.random() < 0.4:
                if chance.random() < 0.03:
                    continue
                value = self.value(one.name, one.annotation)
                if one.kind is one.KEYWORD_ONLY or one.default is not one.empty:
                    named[one.name] = value
                else:
                    given.append(value)
        return given, named

    def keywords(self, hint: str, owner: str) -> list[str]:
        """The keywords that ``**params`` of that hint stand for."""
        if "GenerationOptions" in hint:
            return list(getattr(options, hint.split("[")[-1].strip("]")).__annotations__)
        models = list(_params.KEYWORDS["llama_model_params"])
        contexts = list(_params.KEYWORDS["llama_context_params"])
        if "Llama" in hint or owner in ("Llama", "AsyncLlama", "LlamaContext", "LlamaModel"):
            return (
                models if "Model" in hint else contexts if "Context" in hint else models + contexts
            )
        return []

    def call(self, what: str, function: Any, *arguments: Any, **named: Any) -> Any:
        """Call it, and judge its exception."""
        print(
            f"{'  ' * self.depth}{what} {shown(arguments)} {shown(named)}",
            file=self.log,
            flush=True,
        )
        try:
            result = function(*arguments, **named)
            if hasattr(result, "__next__") and self.chance.random() < 0.8:
                for _ in range(self.chance.randrange(8)):
                    self.note(next(result, None))
                if self.chance.random() < 0.4 and hasattr(result, "close"):
                    result.close()
            elif inspect.iscoroutine(result):
                result = asyncio.run(self.awaited(result))
        except BaseException as error:
            self.raised += 1
            self.judge(what, error)
            return None
        self.returned += 1
        self.note(result)
        return result

    async def awaited(self, coroutine: Any) -> Any:
        task = asyncio.ensure_future(coroutine)
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.01]))
        if self.chance.random() < 0.5:
            task.cancel()
        return await task

    def note(self, result: Any) -> None:
        """Use the result as well."""
        if isinstance(result, memoryview) or type(result).__module__.startswith("llama_cpp"):
            self.keep(result)
        elif isinstance(result, list) and result and self.chance.random() < 0.2:
            self.note(result[0])

    def judge(self, what: str, error: BaseException) -> None:
        """Whether it was raised on purpose."""
        if isinstance(error, Wrong):
            return
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1]
        ours = next((f for f in reversed(frames) if f.filename.startswith(_PACKAGE)), None)
        line = linecache.getline(last.filename, last.lineno or 0).strip()
        raised = last is ours and line.startswith("raise")
        place = "" if ours is None else f"{Path(ours.filename).name}:{ours.lineno}"
        text = f"{what}: {type(error).__name__}: {str(error)[:200]} ({place})"
        print(f"{'  ' * self.depth}-> {text}", file=self.log, flush=True)
        if ours is None or raised or what.startswith(("half-made", "raw ")):
            return
        if isinstance(error, _TYPED) or (isinstance(error, IndexError) and "__getitem__" in what):
            if last is ours:
                self.implicit.append(text)
            return
        self.untyped.append(text)

    def call_of(self, one: Any) -> None:
        """Call, read or set something public of ``one``."""
        chance, kind = self.chance, type(one)
        special = ("__len__", "__iter__", "__repr__", "__enter__", "__exit__", "__getitem__",
                   "__contains__", "__eq__", "__hash__", "__next__", "__call__", "__bool__",
                   "__setitem__", "__delitem__", "__add__", "__mul__")  # fmt: skip
        names = [n for n in dir(kind) if not n.startswith("_") and n not in _NOT]
        names += [n for n in special if any(n in vars(base) for base in kind.__mro__)]
        if kind is llama_cpp.LlamaLibrary:
            names = ["has", "path", "default"]
        name = chance.choice(names)
        what = f"{kind.__name__}.{name}"
        found = inspect.getattr_static(kind, name, None)
        if isinstance(found, property) or not callable(getattr(kind, name, None)):
            if getattr(found, "fset", None) is not None and chance.random() < 0.5:
                self.call(f"set {what}", setattr, one, name, self.value(name, "int float bool"))
            else:
                self.call(f"get {what}", getattr, one, name)
            return
        method = getattr(kind, name)
        given, named = self.arguments(method, kind.__name__)
        if not isinstance(found, classmethod | staticmethod):
            given = [one, *given[1:]]
        self.call(what, method, *given, **named)

    def step(self, act: Callable[[], None] | None = None) -> None:
        """One wrong thing."""
        if self.depth >= _DEPTH:
            return
        self.depth += 1
        try:
            (act or self.one_step)()
        except Wrong:
            pass  # of making an object
        except Exception as error:
            self.judge("making", error)
        finally:
            self.depth -= 1

    def one_step(self) -> None:
        chance = self.chance
        kind = chance.random()
        one = self.some()
        if kind < 0.1 and self.depth == 1 and hasattr(signal, "setitimer"):
            print("a signal in", file=self.log, flush=True)
            signal.signal(signal.SIGALRM, self.act_on_a_signal)
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.choice([1e-5, 1e-4, 1e-3, 1e-2]))
                self.call_of(one)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        elif kind < 0.7:
            self.call_of(one)
        elif kind < 0.78:
            name = chance.choice([
                n for n in vars(llama_cpp)["__all__"]
                if not n.endswith(("Server", "Library", "Agent", "Client", "Error", "quantize"))
            ])  # fmt: skip
            made = getattr(llama_cpp, name)
            self.call(name, made, *(pair := self.arguments(made, name))[0], **pair[1])
        elif kind < 0.82:
            close = getattr(one, "close", None)
            if close is not None and not inspect.iscoroutinefunction(close):
                self.call(f"{type(one).__name__}.close", close)
        elif kind < 0.85:
            self.pool = [other for other in self.pool if other is not one]
            del one
            gc.collect()
        elif kind < 0.89:
            make = chance.choice(
                [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
            )
            self.call(f"copy of {type(one).__name__}", make, one)
        elif kind < 0.92:
            thread = threading.Thread(target=self.call_of, args=(one,), daemon=True)
            thread.start()
            if chance.random() < 0.5:
                self.call_of(self.some())
            thread.join(_WAIT)
            assert not thread.is_alive(), "a thread hangs"
        elif kind < 0.94 and _FORK and self.depth == 1:
            self.in_a_copy(one)
        elif kind < 0.95 and self.depth == 1:
            self.in_threads(chance.choice([self.make_things, self.use_a_loop]))
        elif kind < 0.96:
            made = type(one)
            if made.__module__.startswith("llama_cpp"):
                half = object.__new__(type("Half", (made,), {"__init__": lambda self: None}))
                self.call(f"half-made {made.__name__}", repr, half)
                name = chance.choice(
                    [n for n in dir(made) if not n.startswith("_")] or ["__class__"]
                )
                self.call(f"half-made {made.__name__}.{name}", lambda: getattr(half, name)())
        elif kind < 0.98:
            try:
                one.cycle, one.reference = one, self.pool
                weakref.ref(one)
            except (AttributeError, TypeError):
                pass
            self.pool = [other for other in self.pool if other is not one]
        else:
            gc.collect()

    def act_on_a_signal(self, *_: object) -> None:
        """A signal handler that raises, as a timeout's does."""
        raise Wrong("a signal")

    def in_threads(self, act: Callable[[], None]) -> None:
        """The same in several threads."""
        print(f"threads: {act.__name__}", file=self.log, flush=True)
        threads = [threading.Thread(target=act, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_WAIT)
        assert not any(thread.is_alive() for thread in threads), f"{act.__name__} hangs"

    def make_things(self) -> None:
        """Models, contexts, grammars."""
        for kind in ("LlamaSampler", "LlamaContext", "LlamaModel", "Llama"):
            try:
                self.keep(self.makers()[kind]())
            except Exception as error:
                self.judge(f"making {kind} in a thread", error)

    def use_a_loop(self) -> None:
        """An event loop of this thread, and another one after it."""
        llm = self.of("AsyncLlama")

        async def complete() -> None:
            await asyncio.gather(*(llm.complete("the cat", max_tokens=2) for _ in range(3)))

        for _ in range(2):
            self.call("asyncio.run", asyncio.run, complete())

    def in_a_copy(self, one: Any) -> None:
        """In a forked process, which has none of the threads."""
        print(f"fork for {type(one).__name__}", file=self.log, flush=True)
        child = os.fork()
        if child == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(int(_WAIT))
                before = len(self.untyped)
                self.depth -= 1
                self.step(lambda: self.call_of(one))
                gc.collect()
                os._exit(3 if len(self.untyped) > before else 0)
            finally:
                os._exit(4)
        deadline = time.monotonic() + _WAIT + 10
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        if not done:
            os.kill(child, 9)
            os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status) if done else "a hang"
        if code != 0:
            self.untyped.append(f"a forked process with {type(one).__name__} ended with {code}")

    def run(self) -> str:
        """All of it."""
        for _ in range(_STEPS):
            self.step()
        if self.number == CRASH:  # for the test that crashes are found
            ctypes.string_at(0)
        if self.number == OBSCURE:
            self.call("obscure", llama_cpp.model.model.LlamaModel.tokenize, None, "a")
        if self.number == STRAY:
            self.call("stray", Path("stray.bin").touch)
        self.pool.clear()
        gc.collect()
        if self.untyped:
            return "untyped " + " | ".join(self.untyped)
        return f"loaded {self.returned} returned, {self.raised} raised; " + " | ".join(
            self.implicit
        )


def shown(value: Any) -> str:
    """A short text, without the side effects of a repr."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"[:300]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {shown(v)}" for k, v in value.items())[:300] + "}"
    if isinstance(value, int | float | str | bytes | Path | None):
        return ascii(value)[:80]
    return f"<{type(value).__name__}>"


def main() -> None:
    os.environ.update(HF_HUB_OFFLINE="1")
    fuzzworker.limit()
    valid = Path(sys.argv[1]).resolve()
    folder = valid / f"own-{os.getpid()}"
    folder.mkdir()
    os.chdir(folder)  # some of the names that a scenario gives a file are only names
    unraisable: list[str] = []
    sys.unraisablehook = lambda u: unraisable.append(f"unraisable {u.exc_type}: {u.exc_value}")
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line.split()[1])
        faulthandler.dump_traceback_later(_WAIT + 15)
        for file in folder.iterdir():  # a scenario may have written over them
            if file.is_file():
                file.unlink()
        for file in (*valid.glob("*.gguf"), *valid.glob("*.bin")):
            os.link(file, folder / file.name)
        with (valid / f"mutant-{os.getpid()}").open("w", errors="backslashreplace") as log:
            try:
                answer = Scenario(number, folder, log).run()
            except BaseException as error:
                answer = f"untyped {''.join(traceback.format_exception(error))}"
        faulthandler.cancel_dump_traceback_later()
        bad = [text for text in unraisable if not re.search(_NOT_OURS, text)]
        unraisable.clear()
        if bad:
            answer = f"untyped {bad}"
        print(answer.replace("\n", " ")[:4000].encode("ascii", "replace").decode(), flush=True)


if __name__ == "__main__":
    main()
