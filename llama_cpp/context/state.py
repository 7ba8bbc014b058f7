"""States of contexts and sequences as bytes and files, which name their model and context.

The library's own states do not: it accepts those of another model, and a damaged one may empty the
cache, or worse. A state here is the library's, after a description of its origin (as JSON) and its
tokens, and before a checksum of all that:

    magic (8 bytes) | version, size of the JSON (uint32) | number of tokens, size of the state
    (uint64) | JSON | tokens (int32) | state | BLAKE2b (16 bytes)

All of it is checked before the library sees any. The checksum finds damage, not malice.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import weakref
from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _raw
from .. import _std as std
from ..errors import LlamaStateError
from ..model.gguf import N_DIGEST, check_target, new_digest, weights
from ..native import log
from .cells import CellBooks
from .core import Core
from .snapshot import ask

if TYPE_CHECKING:
    from io import FileIO

    from typing_extensions import Buffer

    from ..model.model import LlamaModel

_MAGIC = b"llamapy\x1a"
_VERSION = 1
_START = struct.Struct("<8sIIQQ")

# The parameters that decide the values and the layout of a context's cache: C names.
_PARAMS = (
    *("type_k", "type_v", "attention_type", "rope_scaling_type", "rope_freq_base"),
    *("rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor", "yarn_beta_fast"),
    *("yarn_beta_slow", "yarn_orig_ctx"),
)


class State(NamedTuple):
    """The checked contents of a container."""

    tokens: list[int]
    facts: Mapping[str, Any]
    payload: memoryview


def save(
    books: CellBooks, tokens: Iterable[int], seq_id: int | None = None, **more: int
) -> bytearray:
    """The state of a sequence, or with None of the whole context, with ``tokens``. ``more`` are
    facts to store with it. The context's lock must be held."""
    core = books.core
    ids = core.model.vocab.check_tokens(tokens)
    books.turn()
    with log.heard():
        size = ask(core, "get_size", seq_id)
    facts = {
        "kind": _kind(seq_id),
        "model": _model_facts(core.model),
        "context": _context_facts(core, seq_id),
        **more,
    }
    head = std.json.dumps(facts).encode()
    raw_tokens = array("i", ids).tobytes()
    start = _START.size + len(head) + len(raw_tokens)
    data = bytearray(start + size + N_DIGEST)
    _START.pack_into(data, 0, _MAGIC, _VERSION, len(head), len(ids), size)
    data[_START.size : start] = head + raw_tokens
    payload = (ctypes.c_uint8 * size).from_buffer(data, start)
    with log.heard() as said:
        written = ask(core, "get_data", seq_id, payload, size)
    del payload  # a bytearray cannot change its size under it, and the caller may want to
    if written != size:
        raise LlamaStateError(
            f"the {_kind(seq_id)} was not saved: "
            + log.reason(said, f"the library wrote {written} of {size} bytes")
        )
    with memoryview(data) as view:
        data[-N_DIGEST:] = _digest(view[:-N_DIGEST])
    return data


def check(core: Core, data: Buffer, seq_id: int | None = None) -> State:
    """The state ``data`` for a sequence, or with None for the whole context. Raises LlamaStateError
    if it is damaged, or does not belong there."""
    state = _unpack(data)
    _check(core, state, seq_id)
    # A name comes first, and the library allocates its size, up to 4 GB, before it checks.
    if seq_id is None and int.from_bytes(state.payload[:4], sys.byteorder) > len(state.payload):
        raise LlamaStateError("the state is damaged: its first part is longer than the whole")
    return state


def restore(books: CellBooks, state: State, seq_id: int | None = None) -> None:
    """Restore a checked state into the cache. Raises LlamaStateError if the library still refuses
    it; the sequence (the context) is empty then. The context's lock must be held."""
    core = books.core
    core.opened()
    size = len(state.payload)
    # The bytes' own address, or a copy if ctypes cannot get it.
    room = ctypes.c_uint8 * size
    payload = (room.from_buffer_copy if state.payload.readonly else room.from_buffer)(state.payload)
    # Pending moves belong to the state that is being replaced.
    books.turn()
    with log.heard() as said:
        if seq_id is not None:
            core.seq_rm(core.kv, seq_id, -1, -1)  # an empty state would leave it as it is
        read = ask(core, "set_data", seq_id, payload, size)
    if read == size:
        return
    if seq_id is None:
        core.short.llama_memory_clear(core.kv, True)
    else:
        core.seq_rm(core.kv, seq_id, -1, -1)
    raise LlamaStateError(
        f"the {_kind(seq_id)} was not restored, and is empty now: "
        + log.reason(said, f"the library read {read} of {size} bytes")
    )


def write_file(path: str | os.PathLike[str], data: bytearray) -> None:
    """Write a state to ``path``; until it is there as a whole, what was there stays."""
    target = std.Path(os.path.realpath(path))
    check_target(target)
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def read_file(path: str | os.PathLike[str]) -> bytearray:
    """The bytes of a file. A bytearray: the library can read it where it is."""
    if std.Path(path).is_fifo():  # to open it would be to wait for who writes
        raise LlamaStateError(f"{path} is a pipe: a state has to be a file")
    with std.Path(path).open("rb") as stream:
        data = bytearray(os.fstat(stream.fileno()).st_size)
        del data[stream.readinto(data) :]
    return data


def read_tokens(stream: FileIO) -> bytes:
    """The tokens of a state, int32 each, from its beginning. LlamaStateError if its parts do not
    fit its size; its checksum is not looked at."""
    start = stream.read(_START.size)
    if len(start) < _START.size or start[: len(_MAGIC)] != _MAGIC:
        raise LlamaStateError("this is not a state that llama_cpp saved")
    _, _, n_head, n_tokens, size = _START.unpack(start)
    end = os.fstat(stream.fileno()).st_size
    if end != _START.size + n_head + 4 * n_tokens + size + N_DIGEST:
        raise LlamaStateError("the state is damaged: its parts do not fit its size")
    stream.seek(n_head, os.SEEK_CUR)
    return stream.read(4 * n_tokens)


def facts(core: Core) -> dict[str, Any]:
    """What the state of a sequence depends on, besides its tokens."""
    return {"model": _model_facts(core.model), "context": _context_facts(core, 0)}


def digest(data: bytes) -> str:
    """A hash, as text."""
    return _digest(memoryview(data)).hex()


def _kind(seq_id: int | None) -> str:
    return "context" if seq_id is None else "sequence"


def _digest(data: memoryview) -> bytes:
    digest = new_digest()
    digest.update(data)
    return digest.digest()


def _unpack(data: Buffer) -> State:
    view = memoryview(data).cast("B")
    if len(view) < _START.size or view[: len(_MAGIC)] != _MAGIC:
        raise LlamaStateError("this is not a state that llama_cpp saved")
    _, version, n_head, n_tokens, size = _START.unpack_from(view)
    if version != _VERSION:
        raise LlamaStateError(f"the state has format {version}: this llama_cpp reads {_VERSION}")
    at_tokens = _START.size + n_head
    start = at_tokens + 4 * n_tokens
    if len(view) != start + size + N_DIGEST:
        raise LlamaStateError(
            f"the state is damaged: {len(view)} bytes instead of {start + size + N_DIGEST}"
        )
    if view[start + size :] != _digest(view[: start + size]):
        raise LlamaStateError("the state is damaged: its checksum is wrong")
    facts = _facts(bytes(view[_START.size : at_tokens]))
    tokens = array("i", bytes(view[at_tokens:start])).tolist()
    return State(tokens, facts, view[start : start + size])


def _facts(text: bytes) -> dict[str, Any]:
    """A state's description. A right checksum does not prove that this package wrote it."""
    try:
        facts = std.json.loads(text)
        whole = facts["kind"] == "context" or isinstance(facts["exact"], int)
        if whole and isinstance(facts["model"], dict) and isinstance(facts["context"], dict):
            return dict(facts)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass
    raise LlamaStateError("the state is damaged: its description cannot be read")


def _check(core: Core, state: State, seq_id: int | None) -> None:
    kind = _kind(seq_id)
    if state.facts["kind"] != kind:
        raise LlamaStateError(f"this is the state of a {state.facts['kind']}, not of a {kind}")
    for what, here in (
        ("model", _model_facts(core.model)),
        ("context", _context_facts(core, seq_id)),
    ):
        there = state.facts[what]
        for name, value in here.items():
            if there.get(name) != value and None not in (there.get(name), value):
                raise LlamaStateError(
                    f"the state belongs to another {what}: {name} is {there[name]} there and "
                    f"{value} here"
                )
    if seq_id is not None and len(state.tokens) > core.n_ctx_seq and not core.is_recurrent:
        raise LlamaStateError(
            f"the state has {len(state.tokens)} tokens, a sequence here has room for "
            f"{core.n_ctx_seq} (see n_ctx)"
        )


def _model_facts(model: LlamaModel) -> dict[str, Any]:
    facts = _known.get(model)
    if facts is None:
        metadata = new_digest()
        metadata.update(std.json.dumps(sorted(model.metadata.items())).encode())
        facts = {
            "architecture": model.metadata.get("general.architecture"),
            "n_layer": model.n_layer,
            "n_embd": model.n_embd,
            "n_tokens": model.vocab.n_tokens,
            "n_params": model.n_params,
            "size": model.size,
            "metadata": metadata.hexdigest(),
            "weights": None,
        }
        with suppress(OSError):  # the file is gone
            facts["weights"] = weights(model.path)
        _known[model] = facts
    return facts


_known: weakref.WeakKeyDictionary[LlamaModel, dict[str, Any]] = weakref.WeakKeyDictionary()


def _context_facts(core: Core, seq_id: int | None) -> dict[str, Any]:
    given = {name: getattr(core.params, name) for name in _PARAMS if hasattr(core.params, name)}
    facts: dict[str, Any] = {
        name: value if isinstance(value, float) else int(value) for name, value in given.items()
    }
    if not core.is_recurrent:
        facts["streams (see kv_unified and n_seq_max)"] = 1 if core.kv_unified else core.n_seq_max
    if seq_id is None:
        facts["n_seq_max"] = core.n_seq_max
    # Models with long and short rotation factors choose by the length of the context.
    arch = core.model.metadata.get("general.architecture")
    short = core.model.metadata.get(f"{arch}.rope.scaling.original_context_length")
    if short is not None:
        facts["n_ctx beyond the model's original"] = core.n_ctx_seq > int(short)
    facts["byte order"] = sys.byteorder
    facts["version of the library's states"] = (
        _raw.LLAMA_SESSION_VERSION if seq_id is None else _raw.LLAMA_STATE_SEQ_VERSION
    )
    return facts
