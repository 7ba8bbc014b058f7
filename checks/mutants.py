"""Damaged files, made from valid ones: the same number gives the same damage.

A GGUF file is split into its header, metadata, list of tensors and weights, so that one field can
be changed, or an entry removed, doubled or moved, while everything else stays valid.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

# Values in a block, and its bytes: ggml's Q8_1 is smaller than gguf-py says.
_BLOCKS: dict[Any, tuple[int, int]] = {**GGML_QUANT_SIZES, GGMLQuantizationType.Q8_1: (32, 36)}
TYPES = tuple(_BLOCKS)
"""Of tensors, by number."""
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by the number of its type."""
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32
_LARGEST = 1 << 24
"""Bytes of weights that a file is filled up to."""
_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_INTERESTING = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 12, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 512, 1000, 1023),
    *(4096, 32767, 32768, 65535, 65536, 10**6, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, -1, -2, -32, -(2**31)),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))


@dataclass
class Field:
    """A number in an entry."""

    at: int
    size: int
    what: str


@dataclass
class Entry:
    """A key with its value, or a tensor: its bytes, and where the numbers in them are."""

    data: bytearray
    fields: list[Field] = field(default_factory=list)

    def copy(self) -> Entry:
        return Entry(bytearray(self.data), self.fields)


class Gguf:
    """A valid file, in parts."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self.head = bytearray(data[:24])
        _, _, n_tensors, n_keys = struct.unpack("<4sIQQ", self.head)
        self._at = 24
        self.keys = [self._key() for _ in range(n_keys)]
        self.tensors = [self._tensor() for _ in range(n_tensors)]
        self.weights = data[-(-self._at // _ALIGNMENT) * _ALIGNMENT :]

    @property
    def names(self) -> list[str]:
        """Of the tensors."""
        return [t.data[8 : 8 + t.data[0]].decode() for t in self.tensors]  # 64 letters at most

    def _take(self, entry: Entry, size: int, what: str) -> int:
        entry.fields.append(Field(len(entry.data), size, what))
        piece = self._data[self._at : self._at + size]
        entry.data += piece
        self._at += size
        return int.from_bytes(piece, "little")

    def _text(self, entry: Entry) -> None:
        size = self._take(entry, 8, "length")
        entry.data += self._data[self._at : self._at + size]
        self._at += size

    def _key(self) -> Entry:
        entry = Entry(bytearray())
        self._text(entry)
        type_ = self._take(entry, 4, "type")
        count = 1
        if type_ == _ARRAY:
            type_ = self._take(entry, 4, "element type")
            count = self._take(entry, 8, "length")
        for _ in range(count):
            if type_ == _STRING:
                self._text(entry)
            else:
                self._take(entry, _SIZES[type_], "float" if type_ in (6, 12) else "value")
        return entry

    def _tensor(self) -> Entry:
        entry = Entry(bytearray())
        self._text(entry)
        for _ in range(self._take(entry, 4, "dimensions")):
            self._take(entry, 8, "dimension")
        self._take(entry, 4, "type")
        self._take(entry, 8, "offset")
        return entry


class _Draft:
    """A file on its way to being damaged."""

    def __init__(self, whole: Gguf, others: list[Gguf], chance: random.Random) -> None:
        self.head = bytearray(whole.head)
        self.keys = list(whole.keys)
        self.tensors = list(whole.tensors)
        self.weights: bytes | bytearray = whole.weights
        self.others = others
        self.chance = chance

    def entries(self) -> list[Entry]:
        return self.chance.choice([e for e in (self.keys, self.tensors) if e] or [[]])

    def pick(self) -> tuple[list[Entry], int]:
        entries = self.entries()
        return entries, self.chance.randrange(len(entries))

    def to_bytes(self) -> tuple[bytearray, list[int]]:
        """The file, and where its parts begin."""
        data, marks = bytearray(self.head), [4, 8, 16, 24]
        for entry in (*self.keys, *self.tensors):
            marks += [len(data) + one.at for one in entry.fields[:8]]
            data += entry.data
            marks.append(len(data))
        data += bytes(-len(data) % _ALIGNMENT)
        marks.append(len(data))
        data += self.weights
        marks.append(len(data))
        return data, marks

    def count(self) -> None:
        struct.pack_into("<QQ", self.head, 8, len(self.tensors), len(self.keys))

    def settle(self) -> None:
        """Put the tensors one behind the other, as their shapes and types want it: a file whose
        offsets are wrong is refused before anything else of them is looked at."""
        end = 0
        for i, tensor in enumerate(self.tensors):
            entry = self.tensors[i] = tensor.copy()
            count = 1
            for one in entry.fields:
                value = int.from_bytes(entry.data[one.at : one.at + one.size], "little")
                if one.what == "dimension":
                    count *= value
                elif one.what == "type":
                    block, size = _BLOCKS.get(value, (1, 4))
                elif one.what == "offset":
                    entry.data[one.at :] = struct.pack("<Q", end)
            end += -(-(count // block * size) // _ALIGNMENT) * _ALIGNMENT
            if end > _LARGEST:
                return
        self.weights = bytes(self.weights[:end]).ljust(end, b"\1")

    # -- mutations

    def number(self) -> None:
        """A count, length, type, dimension, offset or value becomes another."""
        entries, i = self.pick()
        entry = entries[i] = entries[i].copy()
        # Of a long array the elements must not hide all else.
        fields = entry.fields[:6] + entry.fields[6:][:: max(1, len(entry.fields) // 6)]
        one = self.chance.choice(fields)
        old = int.from_bytes(entry.data[one.at : one.at + one.size], "little")
        if one.what == "float" and self.chance.random() < 0.7:
            struct.pack_into("<f" if one.size == 4 else "<d", entry.data, one.at,
                             self.chance.choice(_FLOATS))  # fmt: skip
        elif one.what.endswith("type"):
            new = self.chance.choice([*range(-1, 45), 2**31])
            struct.pack_into(_FORMATS[one.size], entry.data, one.at, new % 2 ** (8 * one.size))
        else:
            near = (old - 1, old + 1, old * 2, old // 2, old + 32, old ^ (1 << 31))
            new = self.chance.choice((*_INTERESTING, *near, *near))
            struct.pack_into(_FORMATS[one.size], entry.data, one.at, new % 2 ** (8 * one.size))

    def header(self) -> None:
        at, size = self.chance.choice([(0, 4), (4, 4), (8, 8), (16, 8)])
        old = int.from_bytes(self.head[at : at + size], "little")
        new = self.chance.choice((*_INTERESTING, old - 1, old + 1))
        struct.pack_into(_FORMATS[size], self.head, at, new % 2 ** (8 * size))

    def drop(self) -> None:
        entries, i = self.pick()
        del entries[i]
        self.count()

    def repeat(self) -> None:
        entries, i = self.pick()
        entries.insert(self.chance.randrange(len(entries) + 1), entries[i])
        self.count()

    def swap(self) -> None:
        entries = self.entries()
        i, j = (self.chance.randrange(len(entries)) for _ in range(2))
        entries[i], entries[j] = entries[j], entries[i]

    def mix(self) -> None:
        """An entry of another file: its own key with another value, or one that is not here."""
        other = self.chance.choice(self.others)
        mine, theirs = self.chance.choice([(self.keys, other.keys), (self.tensors, other.tensors)])
        if theirs:
            new = self.chance.choice(theirs)
            name = new.data[: 8 + int.from_bytes(new.data[:8], "little")]
            at = [i for i, entry in enumerate(mine) if entry.data.startswith(name)]
            if at:
                mine[at[0]] = new
            else:
                mine.append(new)
            self.count()

    def rename(self) -> None:
        """A letter of a name, or of a text."""
        entries, i = self.pick()
        entry = entries[i] = entries[i].copy()
        size = min(int.from_bytes(entry.data[:8], "little"), len(entry.data) - 8)
        if size:
            at = 8 + self.chance.randrange(size)
            entry.data[at] = self.chance.choice([0, 0x2E, 0x30, 0x39, 0x61, 0xC3, 0xFF])

    def text(self) -> None:
        """The bytes of a value, each on its own."""
        i = self.chance.randrange(len(self.keys)) if self.keys else None
        if i is not None:
            entry = self.keys[i] = self.keys[i].copy()
            start = 12 + min(int.from_bytes(entry.data[:8], "little"), len(entry.data))
            for _ in range(self.chance.choice([1, 1, 2, 8])):
                at = self.chance.randrange(min(start, len(entry.data) - 1), len(entry.data))
                entry.data[at] = self.chance.randrange(256)

    def floats(self) -> None:
        """Weights that are no numbers, or huge."""
        self.weights = bytearray(self.weights)
        for _ in range(self.chance.choice([1, 4, 64])):
            if len(self.weights) >= 4:
                at = self.chance.randrange(len(self.weights) // 4) * 4
                struct.pack_into("<f", self.weights, at, self.chance.choice(_FLOATS))


_CHANGES: tuple[tuple[Callable[[_Draft], None], int], ...] = (
    (_Draft.number, 10),
    (_Draft.header, 1),
    (_Draft.drop, 2),
    (_Draft.repeat, 1),
    (_Draft.swap, 1),
    (_Draft.mix, 2),
    (_Draft.rename, 1),
    (_Draft.text, 2),
    (_Draft.floats, 1),
)


def gguf(whole: Gguf, others: list[Gguf], chance: random.Random) -> bytes:
    """One damaged in one to three ways, and perhaps cut off or with bits flipped."""
    draft = _Draft(whole, others, chance)
    kind = chance.random()
    if kind < 0.8:
        functions, weights = zip(*_CHANGES, strict=True)
        for change in chance.choices(functions, weights, k=chance.choice([1, 1, 1, 2, 3])):
            change(draft)
        if chance.random() < 0.7:
            draft.settle()
    data, marks = draft.to_bytes()
    if kind >= 0.9 or kind < 0.02:
        near = chance.choice(marks) + chance.choice([0, 0, -1, 1])
        del data[max(0, near if chance.random() < 0.8 else chance.randrange(len(data) + 1)) :]
    elif kind >= 0.8:
        flip(data, chance, within=chance.choice([len(data), marks[-2], marks[-2]]))
    return bytes(data)


def retyped(whole: Gguf, name: str, type_: int) -> bytes:
    """One in which a tensor has another type, and all else fits that."""
    draft, i = _found(whole, name)
    entry = draft.tensors[i] = draft.tensors[i].copy()
    (at,) = (one.at for one in entry.fields if one.what == "type")
    struct.pack_into("<I", entry.data, at, type_)
    draft.settle()
    return bytes(draft.to_bytes()[0])


def without(whole: Gguf, name: str) -> bytes:
    """One that lacks a tensor, and is valid otherwise."""
    draft, i = _found(whole, name)
    del draft.tensors[i]
    draft.count()
    draft.settle()
    return bytes(draft.to_bytes()[0])


def _found(whole: Gguf, name: str) -> tuple[_Draft, int]:
    return _Draft(whole, [], random.Random(0)), whole.names.index(name)


def flip(data: bytearray, chance: random.Random, within: int | None = None) -> None:
    """One to eight bits of the first ``within`` bytes."""
    for _ in range(chance.choice([1, 1, 2, 8])):
        if data:
            at = chance.randrange(min(within or len(data), len(data)))
            data[at] ^= 1 << chance.randrange(8)


def plain(whole: bytes, chance: random.Random) -> bytes:
    """A file of which nothing is known: numbers, bits, its end, a piece that is another."""
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        kind = chance.random()
        if kind < 0.5 and len(data) >= 8:
            size = chance.choice([1, 4, 4, 8])
            first = min(len(data) - size, 4096)
            at = chance.randrange(1 + chance.choice([min(first, 64), first, len(data) - size]))
            new = chance.choice(_INTERESTING) % 2 ** (8 * size)
            struct.pack_into(_FORMATS[size], data, at, new)
        elif kind < 0.75:
            flip(data, chance, chance.choice([64, 4096, len(data)]))
        elif kind < 0.9:
            del data[chance.randrange(len(data) + 1) :]
        elif data:
            at, to = sorted(chance.randrange(len(data)) for _ in range(2))
            data[at:at] = data[at : min(to, at + 256)]
    return bytes(data)


def sealed(whole: bytes, chance: random.Random) -> bytes:
    """A state of ours whose inside is damaged and whose checksum is right, as malice would."""
    start = struct.Struct("<8sIIQQ")
    magic, version, n_head, n_tokens, size = start.unpack_from(whole)
    at_tokens = start.size + n_head
    at = at_tokens + 4 * n_tokens
    parts = [whole[start.size : at_tokens], whole[at_tokens:at], whole[at : at + size]]
    which = chance.choice([0, 1, 2, 2, 2, 2])
    parts[which] = plain(parts[which], chance)
    head, tokens, payload = parts
    numbers = (len(head), len(tokens) // 4, len(payload))
    data = start.pack(magic, version, *numbers) + head + tokens[: numbers[1] * 4] + payload
    return data + hashlib.blake2b(data, digest_size=16).digest()
