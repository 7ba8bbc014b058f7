"""The core of a context: its C object, its lock, its sizes, and the one way to run a decode.

The parts of `LlamaContext` (outputs, memory, adapters) are given it.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any, Protocol

from .. import _raw
from ..errors import LlamaBusyError, LlamaCancelled, LlamaContextError, LlamaDecodeError, LlamaError
from ..model.model import LlamaModel
from ..native import fork, log
from ..native.calls import guarded
from ..native.interrupt import stops_on_ctrl_c
from ..native.locks import exits_with, take
from ..native.remote import calls_for
from ..native.resource import Closable, Resource
from .batch import LlamaBatch
from .params import is_causal, turns_keys

# Architectures with a table of positions, as long as the context that they were trained with: the
# library aborts for a position after its end.
_POSITION_TABLES = ("bert", "gpt2", "starcoder", "mpt")


class CellsOfDecode(Protocol):
    """The books of the KV cache, as a decode needs them; see `llama_cpp.context.cells`."""

    @property
    def tracks(self) -> Mapping[int, object]:
        """The tracks of the sequences, by id."""
        ...

    def prepare(self, seq_ids: Iterable[int]) -> dict[int, int]:
        """Before a decode: sequence -> the position where its new tokens begin."""
        ...

    def record(self, batch: LlamaBatch, outputs: Sequence[int]) -> None:
        """After a decode: note its tokens, and where its outputs are."""
        ...

    def forget(self, starts: dict[int, int]) -> None:
        """After a decode that failed half way: remove the cells that it filled."""
        ...


class Core(Closable):
    """The state that the parts of a context share."""

    def __init__(self, model: LlamaModel) -> None:
        self.model = model
        self.lock = threading.Lock()
        # The library, but for a model over RPC: there it notices when a server is lost.
        self.library = calls_for(model.library, model.opened())
        self.short = self.library.short
        # The library asks many times a decode whether to stop. A Python function would be slow and
        # need the GIL; strlen of this buffer says 0, go on, until its first byte is set.
        self.stop = ctypes.create_string_buffer(2)
        self.running = False
        self.freed: list[bool] = []
        """Not empty when the C object was freed. Its lock is then held for good."""
        self._stopping = threading.Lock()
        self.cancels = 0
        """How often `cancel` was called."""
        self.outputs: Sequence[int] | None = None
        """The indexes that the last decode has outputs for; None when there are none."""
        self.offset = 0
        """Where the last part begins of a batch that was decoded in parts."""
        self.encoded = False
        """Whether `encode` came last."""
        self.untried = False
        """Whether the next computation is the first with embeddings."""

    def set_up(self, resource: Resource, raw: _raw.llama_context_params) -> None:
        """Take over the C object, made with ``raw``, and read its sizes: the library may have
        rounded or limited them."""
        self._resource = resource
        model, short, handle = self.model, self.short, resource.handle
        self.params = raw
        self.n_ctx = int(short.llama_n_ctx(handle))
        self.n_batch = int(short.llama_n_batch(handle))
        self.n_ubatch = int(short.llama_n_ubatch(handle))
        self.n_seq_max = int(short.llama_n_seq_max(handle))
        self.n_vocab = model.vocab.n_tokens
        self.has_encoder = model.has_encoder
        self.n_outputs_max = self.n_batch
        if not self.has_encoder:
            self.n_outputs_max = getattr(raw, "n_outputs_max", 0) or self.n_batch
        self.kv_unified = bool(raw.kv_unified)
        self.no_perf = bool(raw.no_perf)
        # Older llama.cpp cannot be asked whether attention is causal; this is how it decides.
        self.was_causal = is_causal(model, raw)
        arch = model.metadata.get("general.architecture")
        self.n_positions = model.n_ctx_train if arch in _POSITION_TABLES else None
        self.kv = short.llama_get_memory(handle)  # as long as the context lives
        self.has_memory = bool(self.kv)
        self.turns_keys = turns_keys(model, raw)
        self.decode = self.library.llama_decode
        self.encode = self.library.llama_encode
        self.pos_max = short.llama_memory_seq_pos_max
        self.seq_rm = short.llama_memory_seq_rm
        _cores.add(self)
        fork.renew(self)

    def _name(self) -> str:
        return "the context"

    @property
    def handle(self) -> _raw.llama_context:
        """The C object. LlamaClosedError once it is closed."""
        handle: _raw.llama_context = self.opened().handle
        return handle

    # -- one thread at a time

    def enter(self) -> None:
        """Take the lock. LlamaBusyError when another thread has it."""
        if not take(self.lock):
            self.opened()  # a freed context keeps its lock
            raise LlamaBusyError("another thread is using this context")

    def held(self) -> Held:
        """The context for this thread alone. LlamaBusyError when another thread is in it."""
        return Held(self)

    def in_use(self) -> bool:
        """Whether a thread is in it."""
        return self.lock.locked() and not self.freed

    # -- facts about the memory

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether the memory is nothing but recurrent states."""
        return self._model_is("recurrent") and not self._model_is("hybrid")

    @cached_property
    def is_stateful(self) -> bool:
        """Whether the memory has recurrent states, alone or next to a KV cache."""
        return self._model_is("recurrent") or self._model_is("hybrid")

    @cached_property
    def n_swa(self) -> int:
        """The sliding window in tokens, 0 without one."""
        return int(self.short.llama_model_n_swa(self.short.llama_get_model(self.handle)))

    @cached_property
    def forgets(self) -> bool:
        """Whether the memory cannot go back by removing cells, but to a copy of a part of it."""
        window = self.n_swa and not self.short.llama_memory_can_shift(self.kv)
        forgets = bool(window) or self.is_stateful
        return forgets and self.library.has("llama_state_seq_get_data_ext")

    @cached_property
    def n_rollback(self) -> int:
        """The last states of a recurrent memory that it can go back to (``n_rs_seq``)."""
        if not self.is_stateful or not self.library.has("llama_n_rs_seq"):
            return 0
        return int(self.short.llama_n_rs_seq(self.handle))

    @cached_property
    def n_ctx_seq(self) -> int:
        """The cells that one sequence can have."""
        if self.library.has("llama_n_ctx_seq"):
            return int(self.short.llama_n_ctx_seq(self.handle))
        return self.n_ctx if self.kv_unified else self.n_ctx // self.n_seq_max

    @cached_property
    def copies_parts(self) -> bool:
        """Whether a part of a sequence can be copied alone."""
        whole = self.model.metadata.get("general.architecture") == "deepseek4"
        return self.kv_unified and not self.is_stateful and not whole

    @cached_property
    def shares_cells(self) -> bool:
        """Whether a copy shares the cells. Not where recurrent states can be rolled back: that is
        noted for one sequence, and a copy would go on from another state."""
        return not self.n_rollback and (self.kv_unified or self.is_recurrent)

    def _model_is(self, kind: str) -> bool:
        name = f"llama_model_is_{kind}"
        if not self.library.has(name):
            return False
        return bool(getattr(self.short, name)(self.short.llama_get_model(self.handle)))

    def causal(self) -> bool:
        """Whether a token attends only to those before it."""
        # `has` would look for a function that an old llama.h lacks in the modules of other headers.
        name = "llama_get_causal_attn"
        if name in _raw.FUNCTIONS and self.library.has(name):
            return bool(self.short.llama_get_causal_attn(self.handle))
        return self.was_causal

    # -- computing

    def _try(self, call: Callable[[Any, Any], int], what: str, handle: Any, argument: Any) -> int:
        """The code of the first ``call`` with embeddings. Of some models they are smaller than the
        library believes, and it aborts: then the context is lost."""
        self.untried = False
        library = self.model.library
        try:
            return guarded(library, lambda: call(handle, argument), what, error=LlamaContextError)
        except LlamaContextError as error:
            self.lose(error)
            raise

    def run(
        self,
        cells: CellsOfDecode | None,
        seq_ids: Iterable[int],
        n: int,
        what: str,
        call: Callable[[Any, Any], int],
        argument: Any,
        long: bool,
        parts: bool = False,
        batch: LlamaBatch | None = None,
        outputs: Sequence[int] = (),
    ) -> None:
        """Run ``call(handle, argument)``, which decodes ``n`` tokens of ``seq_ids``, with the lock
        held. ``cells`` are the context's, None where nothing is stored. A ``long`` one can be
        stopped by Ctrl-C; ``parts`` says that it may have stored something when it fails. The
        tokens of ``batch``, and where its ``outputs`` are, go into the books.

        Raises for a code other than 0, and re-raises from ``call``. The KV cache is then unchanged.
        """
        handle = self.opened().handle
        starts: dict[int, int] = {}  # sequence -> where its new tokens begin
        code: int | None = None
        try:
            if cells is not None:
                starts = cells.prepare(seq_ids)
            self.running = True
            with log.heard() as said:
                if self.untried:
                    call = partial(self._try, call, what)
                if not long:
                    code = call(handle, argument)
                else:
                    with log.interruptible() as came, stops_on_ctrl_c(self.stop, came):
                        code = call(handle, argument)
            if batch is not None and code == 0 and cells is not None and cells.tracks:
                cells.record(batch, outputs)
        except BaseException:
            code = None  # whatever it was: the caller will not know of it
            raise
        finally:
            with self._stopping:
                self.running = False
                if not _exiting:
                    self.stop[0] = b"\0"
            if code != 0 and starts and (parts or code not in (1, -1)) and self._resource:
                # Stopped, failed half way, or Ctrl-C: the new cells are useless. After the other
                # codes the library itself has restored the cache. (Without a resource an RPC
                # server was lost, and the context with it.)
                assert cells is not None
                cells.forget(starts)
        if code:
            if _exiting and threading.current_thread().daemon:
                self.lock.release()
                threading.Event().wait()  # for the end of the process, and of this thread with it
            raise decode_error(code, what, n, said, self.n_ctx)

    def cancel(self) -> None:
        """Stop the decode that another thread runs; see `LlamaContext.cancel`."""
        with self._stopping:
            if self.running:
                self.stop[0] = b"\x01"
        self.cancels += 1

    def after_fork(self) -> None:
        """In a child, give up this context if another thread was in it, or if it is on a GPU."""
        self._stopping = threading.Lock()
        reason = fork.refusal(self.model.library)
        if reason or self.in_use():
            self.lose(LlamaError(reason) if reason else fork.lost(self._name()))
            _cores.discard(self)

    def check_seq_id(self, seq_id: int) -> int:
        """``seq_id`` if there is such a sequence, otherwise ValueError."""
        if not 0 <= seq_id < self.n_seq_max:
            raise ValueError(f"seq_id {seq_id} is not 0 to {self.n_seq_max - 1} (see n_seq_max)")
        return seq_id

    def check_memory(self) -> None:
        """LlamaContextError for a context without a KV cache."""
        if not self.has_memory:
            raise LlamaContextError("this context has no KV cache")


class Held:
    """A block with a context for one thread alone; see `Core.held`."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def __enter__(self) -> None:
        self._core.enter()

    __exit__ = exits_with("_core.lock")


@cache
def abort_callback() -> _raw.ggml_abort_callback:
    """The C library's ``strlen``: as an abort callback it says to stop when its text is not
    empty."""
    libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    return ctypes.cast(libc.strlen, _raw.ggml_abort_callback)


_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_exiting = False


@atexit.register
def _stop_at_exit() -> None:
    """Stop the computations of daemon threads, because the exit tears down the library."""
    global _exiting
    _exiting = True
    cores = list(_cores)
    for core in cores:
        core.stop[0] = b"\x01"
    for core in cores:
        if not core.freed and core.lock.acquire(timeout=2):
            core.lock.release()


def decode_error(code: int, what: str, n: int, said: list[str], n_ctx: int) -> Exception:
    """The error for the code that a decode of ``n`` tokens returned."""
    if code == 2:
        return LlamaCancelled(f"{what} was aborted")
    if code == 1:
        text = (
            f"no room in the KV cache for {n} more tokens (n_ctx={n_ctx}): remove some of a "
            "sequence, or make the context with a larger n_ctx"
        )
    else:
        text = f"{what} of {n} tokens failed: " + log.reason(said, f"code {code}")
    return LlamaDecodeError(text, code=code)
