"""The input of one decode: tokens, their positions and sequences, and the wanted outputs."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Sequence

from .. import _raw

_TYPE = array("i").itemsize
assert _TYPE == 4, "array('i') must be int32_t"
_ADDRESS = "Q" if ctypes.sizeof(ctypes.c_void_p) == 8 else "I"


class LlamaBatch:
    """Tokens for `LlamaContext.decode` and `LlamaContext.encode`.

    ``pos`` are the positions in the sequence: a list, the first of consecutive ones, or None to
    continue at the sequence's end. ``seq_id`` is the sequence of all tokens, or a list with one for
    each. ``logits`` marks the tokens that get an output: True for all, a list, or None for only
    the last one.

    C: ``llama_batch``, llama.h. The memory belongs to this object. Only `set_token` changes it.
    """

    tokens: array[int]
    """The tokens, as the C struct has them."""
    pos: array[int] | None
    """The positions, None to continue each sequence."""
    seq_ids: array[int] | None
    """The sequence of each token, None for the first sequence."""
    outputs: tuple[int, ...]
    """The indexes of the tokens that get an output, in order."""
    struct: _raw.llama_batch
    """The C struct. Changes in it are not checked."""

    def __init__(
        self,
        tokens: Iterable[int],
        *,
        pos: int | Sequence[int] | None = None,
        seq_id: int | Sequence[int] = 0,
        logits: bool | Sequence[bool] | None = None,
    ) -> None:
        own = vars(self)  # past `__setattr__`
        own["tokens"] = ids = _int32(tokens, "tokens")
        n = len(ids)
        own["struct"] = struct = _raw.llama_batch(n_tokens=n)
        if n:
            struct.token = (_raw.llama_token * n).from_buffer(ids)
        own["pos"] = None
        if pos is not None:
            values = range(pos, pos + n) if isinstance(pos, int) else pos
            own["pos"] = places = _int32(values, "pos")
            _same_length(places, n, "pos")
            if n:
                struct.pos = (_raw.llama_pos * n).from_buffer(places)
        own["seq_ids"] = None
        if seq_id != 0:
            each = [seq_id] * n if isinstance(seq_id, int) else seq_id
            own["seq_ids"] = sequences = _int32(each, "seq_id")
            _same_length(sequences, n, "seq_id")
            if n:
                _set_seq_ids(struct, sequences)
        if logits is None:
            own["outputs"] = (n - 1,) if n else ()
        else:
            wanted = [logits] * n if isinstance(logits, bool) else [bool(v) for v in logits]
            _same_length(wanted, n, "logits")
            own["outputs"] = tuple([i for i, want in enumerate(wanted) if want])
            struct.logits = (ctypes.c_int8 * n)(*wanted)

    def __setattr__(self, name: str, value: object) -> None:
        # The attributes were checked together and must stay consistent.
        raise AttributeError(f"{name} of a LlamaBatch cannot be set: make another batch")

    def set_token(self, token: int) -> None:
        """Replace the first token. Raises ValueError for an empty batch."""
        if not self.tokens:
            raise ValueError("a batch without tokens has no first one")
        try:
            self.tokens[0] = token
        except (TypeError, OverflowError):
            self.tokens[0] = _int32((token,), "tokens")[0]  # which raises the right error

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"<LlamaBatch of {len(self)} tokens, {len(self.outputs)} outputs>"


def _int32(values: Iterable[int], name: str) -> array[int]:
    try:
        return array("i", values)
    except TypeError:
        raise TypeError(f"{name} must be integers, not {values!r}") from None
    except OverflowError:
        raise ValueError(f"{name} must fit 32 bits: {values!r}") from None


def _same_length(values: Sequence[object], n: int, name: str) -> None:
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries for {n} tokens")


def _set_seq_ids(struct: _raw.llama_batch, ids: array[int]) -> None:
    n = len(ids)
    own = (_raw.llama_seq_id * n).from_buffer(ids)
    start = ctypes.addressof(own)
    # A pointer to each, as an array of addresses: making the pointers one by one takes long.
    addresses = array(_ADDRESS, range(start, start + n * _TYPE, _TYPE))
    table = (ctypes.POINTER(_raw.llama_seq_id) * n).from_buffer(addresses)
    table.own = own  # type: ignore[attr-defined]  # so that the array cannot move
    struct.seq_id = table
    struct.n_seq_id = (ctypes.c_int32 * n).from_buffer(array("i", [1]) * n)
