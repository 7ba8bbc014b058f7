"""Runs lines of code, and prints the error of each: MODEL TINY_MODEL FOLDER CODES."""

# ruff: noqa: F401, F403, F405  # the names are for the code
import asyncio
import gc
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from llama_cpp import *
from llama_cpp import _raw
from llama_cpp.context import PromptCache
from llama_cpp.errors import LlamaBusyError
from llama_cpp.generate import MtpDraft, apply_chat_template
from llama_cpp.model import LlamaDevice, LlamaVocab

M, T, FOLDER = sys.argv[1:4]
chain = LlamaSampler.chain
U = {"role": "user", "content": "the cat"}
J = "{% for m in messages %}{{ m.content }}{% endfor %}"


def load(**keywords):
    return LlamaModel.from_file(M, **keywords)


def ctx(**keywords):
    return LlamaContext(load(), **{"n_ctx": 256, **keywords})


def tiny():
    return LlamaModel.from_file(T)


def small(model=None, **keywords):
    return LlamaContext(model or tiny(), **{"n_ctx": 64, "n_threads": 1, **keywords})


def llm(**keywords):
    return Llama(tiny(), n_ctx=64, n_threads=1, **keywords)


def busy(act, *args, **keywords):
    """Its result; None if another thread is using the object."""
    try:
        return act(*args, **keywords)
    except LlamaBusyError:
        return None


async def both(*its):
    return await asyncio.gather(*its)


async def first(stream):
    async for piece in stream:
        return piece


async def cut(it):
    """As when a client goes away."""
    try:
        await asyncio.wait_for(it, 0.2)
    except asyncio.TimeoutError:
        return
    raise SystemExit("it was over")


def stays(act):
    """The process takes no more memory the more often it does it."""

    def pages():
        act()
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    if sys.platform == "linux":
        before = max(pages() for _ in range(10))
        grown = min(pages() for _ in range(30)) - before
        assert grown < 500, grown


def ends(code):
    """A program that ends without a word."""
    code = f"T = {T!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done


def other(kind):
    """A tiny model of another kind, see tests.support.tiny."""
    sys.path.append(os.getcwd())
    from tests.support import tiny as files

    return LlamaModel.from_file(files.make(kind, Path(FOLDER)))


def rules(n):
    """A Lark grammar of rules that each are the next one."""
    return "start: " + "".join(f"r{i}\nr{i}: " for i in range(n)) + '"a"'


def constrained(**constraint):
    return llm().complete("the cat", max_tokens=4, **constraint)


def nested(n):
    schema = {}
    for _ in range(n):
        schema = {"items": schema}
    return schema


def wide():
    """A model whose pre-tokenizer calls itself for each character of a run."""
    return Llama(load(kv_overrides={"tokenizer.ggml.pre": "tekken"}), n_ctx=256, n_threads=1)


def sample(make, n=4, **keywords):
    c = ctx(**keywords)
    sampler = make(c.model)
    c.decode(c.model.tokenize("Hello my name is"))
    for _ in range(n):
        token = sampler.sample(c)
        c.decode([token])


class Custom:
    def __init__(self, act):
        self.apply = act


def elsewhere(act):
    caught = []

    def run():
        try:
            act()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


def together(*acts):
    """Run each in three threads at the same time; raises the last exception."""
    with ThreadPoolExecutor(3 * len(acts)) as pool:
        for done in [pool.submit(act) for act in acts * 3]:
            done.result(60)


def in_child(act):
    """In a process made by fork, which must end, and well."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise SystemExit(f"the child ended with {code}")


class Alarm(Exception):
    pass


def alarm(*_):
    raise Alarm


def disturbed(act):
    """Often, with a signal whose handler raises at some moment."""
    sys.unraisablehook = lambda _: None  # as one may come while something is freed
    signal.signal(signal.SIGALRM, alarm)
    for i in range(60):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 * 1.1**i)
                act()
            finally:  # in which it may come, too
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm:
            pass
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.unraisablehook = sys.__unraisablehook__


def wait(it):
    async def run():
        return await it

    return asyncio.run(run())


def alm(**keywords):
    return AsyncLlama(T, **{"n_ctx": 64, "n_threads": 1, **keywords})


def agent(*args, **keywords):
    with socket.socket() as s:  # nobody listens there
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
    return LlamaAgent(*args or (url,), **{"retries": 0, **keywords})


def draft(**keywords):
    return DraftModel(tiny(), **{"n_ctx": 64, "n_threads": 1, **keywords})


def hostile_prompt(change):
    """Complete a prompt whose stored state was changed somewhere, with a right checksum or not."""
    cache = PromptCache(tempfile.mkdtemp(), min_tokens=8)
    text = "the cat sat on the mat and the cat sat on the mat"
    llm(prompt_cache=cache).complete(text, max_tokens=1)
    (file,) = cache.folder.iterdir()
    data = bytearray(file.read_bytes())
    at = random.Random(change).randrange(len(data))
    data[at] ^= 1 << change % 8
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm(prompt_cache=cache).complete(text, max_tokens=1)


class Draft:
    def __init__(self, act, adapt=False, cost=0):
        self.draft, self.adapt, self.cost = act, adapt, cost

    def __repr__(self):
        return "<Draft>"


class Handler(logging.Handler):
    def __init__(self, act):
        super().__init__()
        self.emit, self.busy = act, False


def logged(act, do=tiny):
    log, handler = logging.getLogger("llama_cpp"), Handler(act)
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        do()
    finally:
        log.removeHandler(handler)


warnings.filterwarnings("ignore", "several prompts")
INF = float("inf")
names = dict(globals())
for code in json.loads(sys.argv[4]):
    try:
        exec(code, dict(names))
    except BaseException as error:
        end = [type(error).__name__, str(error)]
    else:
        end = ["nothing", ""]
    gc.collect()
    sys.stderr.flush()
    os.write(2, b"\x1e")
    print(json.dumps(end), flush=True)
