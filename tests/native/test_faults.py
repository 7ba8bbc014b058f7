"""What goes wrong outside: memory and disks that are full, files that change, signals."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import Llama, LlamaContext, LlamaDecodeError, LlamaModel, LlamaModelError
from tests.support.adapters import write_lora
from tests.support.python import ROOT, run_python

Load = Callable[..., LlamaModel]
THREADS: dict[str, Any] = {"n_threads": 1, "n_threads_batch": 1}


# -- memory

MEMORY = """if True:
    import resource, sys
    from llama_cpp import LlamaContext, LlamaError, LlamaModel
    what, big, small, room = sys.argv[1:]
    def load(path=big, **keywords):
        return LlamaModel.from_file(path, **keywords)
    def context():
        return LlamaContext(model, n_ctx=1 << 16, n_threads=1, n_threads_batch=1)
    model = load(small)
    with LlamaContext(model, n_ctx=256, n_threads=1, n_threads_batch=1) as ctx:
        ctx.decode([1])  # all that is loaded late is there now
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(room), resource.RLIM_INFINITY))
    try:
        eval(what)
    except LlamaError as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eval(what)
    print("later")
"""


@pytest.mark.parametrize("room", [200_000, 2_000_000, 10_000_000, 60_000_000])
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("load(load_mode=0)", "LlamaModelError"),
        ("load(load_mode=1)", "LlamaModelError"),
        ("context()", "LlamaContextError"),
    ],
)
def test_without_memory_there_is_an_error_and_later_a_success(
    what: str, error: str, room: int, model_path: Path, tiny_path: Callable[..., Path]
) -> None:
    done = run_python(MEMORY, what, model_path, tiny_path("llama"), room)
    assert done == (0, f"{error}\nlater\n", "")


def test_without_memory_for_a_thread_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tiny_path: Callable[..., Path]
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path = tiny_path("llama")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(LlamaModelError, match="could not be loaded: can't start new thread"):
            LlamaModel.from_file(path)
    LlamaModel.from_file(path).close()


def test_a_cache_that_fills_up_leaves_what_was_there(tiny_model: Load) -> None:
    model = tiny_model("llama")
    prompt = model.tokenize("the cat sat on the mat")
    with LlamaContext(model, n_ctx=256, n_seq_max=2, kv_unified=True, **THREADS) as ctx:
        seq, other = ctx.sequence(), ctx.sequence()
        other.extend(prompt * 10)
        with pytest.raises(LlamaDecodeError, match="larger n_ctx") as caught:
            any(seq.extend(prompt) for _ in range(100))
        assert caught.value.code == 1
        n = len(seq)
        assert n % len(prompt) == 0
        assert ctx.memory.seq_pos_max(seq.id) == n - 1
        other.truncate(0)
        seq.extend(prompt)
        assert len(seq) == n + len(prompt)
    llm = Llama(model, n_ctx=256, **THREADS)
    before = llm.complete(prompt, max_tokens=9, temperature=0).tokens
    full = llm.complete(prompt, temperature=0, logit_bias={"</s>": -1000.0})
    assert full.finish_reason in ("length", "stop")
    assert len(full.tokens) + len(prompt) <= 256
    assert llm.complete(prompt, max_tokens=9, temperature=0).tokens == before
    llm.ctx.close()


# -- disks


# A limit on the size of files stands for it. Without bytecode: Python would leave half a .pyc.
FULL = """if True:
    import resource, signal, sys
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
        assert target.read_bytes() == b"old"
        assert list(target.parent.iterdir()) == [target]
"""


def test_a_full_disk_leaves_the_old_model(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    assert run_python(FULL, tiny_path("llama"), target) == (0, "", "")


@pytest.mark.parametrize("what", ["model.save(p)", "quantize(m, p)", "ctx.save(p)"])
def test_what_is_no_file_is_not_replaced_by_one(
    what: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    code = f"""if True:
        import os, stat, sys
        from llama_cpp import *
        m, p = sys.argv[1:]
        os.mkfifo(p)
        model = LlamaModel.from_file(m)
        ctx = LlamaContext(model, n_ctx=256)
        try:
            {what}
        except ValueError as error:
            print(error)
        assert stat.S_ISFIFO(os.stat(p).st_mode)
    """
    done = run_python(code, tiny_path("llama"), pipe)
    assert done == (0, f"{pipe} is there and is no file: give another name\n", "")


SAVES = """if True:
    import sys
    from llama_cpp import LlamaContext, LlamaModel
    what, model, target = sys.argv[1:]
    model = LlamaModel.from_file(model)
    ctx = LlamaContext(model, n_ctx=256, n_threads=1, n_threads_batch=1)
    ctx.decode([1, 2, 3])
    print("ready", flush=True)
    while True:
        if what == "state":
            ctx.save(target, [1, 2, 3])
        else:
            model.save(target)
"""


@pytest.mark.parametrize("what", ["state", "model"])
def test_a_process_that_dies_while_it_saves_leaves_a_whole_file(
    what: str, tiny_path: Callable[..., Path], tiny_model: Load, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", SAVES, what, str(tiny_path("llama")), str(target)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(random.random() * 0.05)
            while not target.exists():
                time.sleep(0.01)
            process.kill()
        if what == "state":
            with LlamaContext(tiny_model("llama"), n_ctx=256, **THREADS) as ctx:
                assert ctx.load(target) == [1, 2, 3]
        else:
            with LlamaModel.from_file(target) as model:
                assert model.n_params == tiny_model("llama").n_params


# -- files that cannot be read, or change

READS = """if True:
    import os, sys
    from llama_cpp import *
    what, model, p = sys.argv[1:]
    if p.endswith("pipe"):
        os.mkfifo(p)
    model = LlamaModel.from_file(model)
    ctx = LlamaContext(model, n_ctx=256)
    try:
        eval(what)
    except (LlamaError, OSError, ValueError) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("path", ["/proc/self/mem", "/dev/zero", "pipe"])
@pytest.mark.parametrize("what", ["LlamaModel.from_file(p)", "model.load_lora(p)", "ctx.load(p)"])
def test_what_cannot_be_read_is_refused_at_once(
    what: str, path: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_python(READS, what, tiny_path("llama"), tmp_path / path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Error\n")
    assert done.stderr == ""


CHANGES = """if True:
    import os, shutil, sys
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
        shutil.copy(__file__ if "__file__" in globals() else sys.executable, copy + ".new")
        os.replace(copy + ".new", copy)
    else:
        os.truncate(copy, 4096)
    print(tokens() == before)
"""
MMAP, NONE = 1, 0


@pytest.mark.parametrize(
    ("how", "mode"),
    [("removed", MMAP), ("replaced", MMAP), ("removed", NONE), ("truncated", NONE)],
)
def test_a_model_outlives_its_file(
    how: str, mode: int, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_python(CHANGES, tiny_path("llama"), tmp_path / "copy.gguf", how, mode)
    assert done == (0, "True\n", "")


def test_a_mapped_file_must_not_be_cut_off(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    """What `LlamaModel.from_file` warns of: it cannot be prevented, only chosen otherwise."""
    done = run_python(CHANGES, tiny_path("llama"), tmp_path / "copy.gguf", "truncated", MMAP)
    assert done.returncode == -signal.SIGBUS


# -- signals

SIGNALS = """if True:
    import os, random, signal, sys, threading, time
    from llama_cpp import Llama, LlamaContext, LlamaModel
    path, folder, kind, count = *sys.argv[1:4], int(sys.argv[4])
    class Alarm(Exception): pass
    number, expected = signal.SIGINT, KeyboardInterrupt
    if kind == "own":
        number, expected = signal.SIGALRM, Alarm
        def handler(*_): raise Alarm
        signal.signal(number, handler)
    def unraisable(what):
        # Python forgets what a handler raises while an object is freed. Ctrl-C must not be lost so;
        # a program's own handler can only be told apart from a fault by its exception.
        if kind != "own" or what.exc_type is not Alarm:
            raise SystemExit(f"{what.exc_value!r} in {what.object!r}")
        forgotten.set()
    sys.unraisablehook = unraisable
    forgotten = threading.Event()
    params = {"n_threads": 1, "n_threads_batch": 1}
    llm = Llama(path, n_ctx=512, **params)
    prompt = "the cat sat on the mat"
    def tokens():
        return llm.complete(prompt, max_tokens=8, temperature=0).tokens
    before = tokens()
    def load():
        LlamaModel.from_file(path).close()
    def decode():
        llm.complete("hello world in time " * 60, max_tokens=40, cache_prompt=False)
    def save():
        llm.ctx.save(folder + "/state")
        llm.model.save(folder + "/model.gguf")
    sent = threading.Event()
    go = threading.Event()
    def send():
        while True:
            go.wait()
            go.clear()
            time.sleep(random.random() * 0.03)
            sent.set()
            os.kill(os.getpid(), number)
    threading.Thread(target=send, daemon=True).start()
    for i in range(count):
        work = (load, decode, save)[i % 3]
        try:
            go.set()
            while not sent.is_set():
                work()
            if not forgotten.wait(60):
                raise SystemExit("it was lost")
        except expected:
            pass
        sent.clear()
        forgotten.clear()
        got = tokens()
        if got != before:
            raise SystemExit(f"{work.__name__}: {got} in place of {before}")
    print("done")
"""


def test_ctrl_c_as_the_library_begins_to_log_is_not_lost() -> None:
    """Python raises it before the first line of the log callback, where nothing can catch it."""
    code = """if True:
        import ctypes, functools, signal, sys
        from llama_cpp.native import log as _log
        c = ctypes.CDLL(None)
        # One call of C's own after another: no bytecode of Python's is between them.
        calls = [
            functools.partial(getattr(c, "raise"), signal.SIGINT),
            functools.partial(_log._callback, 3, b"a warning\\n", None),
        ]
        before = sys.unraisablehook
        for _ in range(3):
            try:
                with _log.heard():
                    list(map(functools.partial.__call__, calls))
            except KeyboardInterrupt as error:
                print(error.__traceback__.tb_next is not None, sys.unraisablehook is before)
    """
    assert run_python(code) == (0, "True True\n" * 3, "")


def test_no_line_of_the_log_comes_where_ctrl_c_would_be_lost(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    code = """if True:
        import signal, sys
        from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaSampler, devices
        from llama_cpp.native import log as _log
        path, lora, folder = sys.argv[1:]
        lines = 0
        def profile(frame, event, _):
            global lines
            if event == "call" and frame.f_code is _log._receive.__code__:
                lines += 1
                held = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
                if not held and not _log._thread.listeners:
                    print(frame.f_locals["text"], frame.f_back.f_code.co_name)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.setprofile(profile)
        devices()
        with LlamaModel.from_file(path) as model:
            ctx = LlamaContext(model, n_ctx=256, n_seq_max=3, n_threads=1, n_threads_batch=1)
            ctx.decode(range(270, 330))
            ctx.n_threads = 2
            ctx.causal_attn = False
            ctx.causal_attn = True
            ctx.embeddings_enabled = True
            ctx.embeddings_enabled = False
            ctx.set_loras([model.load_lora(lora)])
            ctx.restore(ctx.to_bytes())
            ctx.save(folder + "/state")
            with ctx.sequence() as kept:
                kept.extend([1, 2, 3])
                ctx.sequence.from_bytes(kept.to_bytes()).close()
                kept.fork().close()
                kept.shift(1, 1)
            ctx.memory.seq_rm(0, 0, 5)
            ctx.memory.clear()
            ctx.decode([1])
            with LlamaSampler.chain(model.library).greedy() as sampler:
                sampler.sample(ctx)
            ctx.warm_up()
            ctx.perf
            ctx.close()
            model.save(folder + "/model.gguf")
        with Llama(path, n_ctx=128, n_threads=1) as llm:
            llm.complete("the cat", max_tokens=200, temperature=0)
            list(llm.generate("the dog", max_tokens=4))
        print(lines > 50)
    """
    adapter = write_lora(tmp_path / "adapter.gguf")
    assert run_python(code, tiny_path("llama"), adapter, tmp_path) == (0, "True\n", "")


@pytest.mark.parametrize("kind", ["ctrl-c", "own"])
def test_a_signal_while_a_guarded_call_begins_waits_for_it(kind: str) -> None:
    code = """if True:
        import signal, sys, threading, time
        from llama_cpp import LlamaLibrary
        from llama_cpp.native.calls import guarded
        if sys.argv[1] == "own":
            def handler(*_): raise ZeroDivisionError
            signal.signal(signal.SIGINT, handler)
        start = threading.Thread.start
        def interrupted(self):
            start(self)
            signal.raise_signal(signal.SIGINT)
        threading.Thread.start = interrupted
        ended = []
        def call():
            time.sleep(0.3)
            ended.append(True)
        try:
            guarded(LlamaLibrary.default(), call, "it")
        except (KeyboardInterrupt, ZeroDivisionError) as error:
            print(type(error).__name__, ended)
    """
    name = "KeyboardInterrupt" if kind == "ctrl-c" else "ZeroDivisionError"
    assert run_python(code, kind) == (0, f"{name} [True]\n", "")


def test_ctrl_c_while_an_object_is_freed_ends_the_wait_after_it() -> None:
    code = """if True:
        import os, signal, time
        from llama_cpp.native.resource import Resource
        # What comes now is kept until the object is freed, and by then the sleep has begun.
        owned = Resource(1, lambda _: os.kill(os.getpid(), signal.SIGINT))
        begin = time.monotonic()
        try:
            del owned
            time.sleep(30)
        except KeyboardInterrupt:
            print(time.monotonic() - begin < 10)
    """
    assert run_python(code) == (0, "True\n", "")


@pytest.mark.parametrize("kind", ["ctrl-c", "own"])
def test_signals_at_any_moment_leave_all_usable(
    kind: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_python(SIGNALS, tiny_path("llama"), tmp_path, kind, 21, timeout=300)
    assert done == (0, "done\n", "")
