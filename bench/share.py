"""Python's own share of a token, on an engine that returns at once."""

from __future__ import annotations

from . import build
from .measure import Contender, Spread, interleaved, ratios
from .place import PROMPT, Place
from .report import Row, Table, Target, at_most

_SHORT, _LONG = 256, 2048  # tokens


def share(place: Place) -> Table:
    """Microseconds a token, short and long texts, and with another thread that is busy."""
    table = Table("Python's own share of a token: on an engine that returns at once")
    text = place.file("prompt.txt", PROMPT)
    targets: dict[str, Target] = {
        "ours, decode and sample": at_most(8),
        f"ours, Llama.generate, {_LONG} tokens": at_most(25),
    }
    contenders: dict[str, Contender] = {}
    alike = [
        ("ours, decode and sample", "bare", _LONG),
        ("ours, with end and text", "loop", _LONG),
        (f"ours, Llama.generate, {_SHORT} tokens", "stream", _SHORT),
        (f"ours, Llama.generate, {_LONG} tokens", "stream", _LONG),
        ("ours, 4 sequences, LlamaBatch", "parallel", 4),
        ("ours, 4 sequences, Llama.generate_many", "many", 4),
    ]
    for name, task, n in alike:
        contenders[name] = place.ours(task, place.null_model, n, text, "--cpu", null=True)
    for idle, busy, task in _BUSY:
        for name, options in ((idle, ["--apart"]), (busy, ["--apart", "--busy"])):
            contenders[name] = place.ours(task, place.null_model, _SHORT, text, *options, null=True)
    theirs = [
        ("llama-cpp-python generate", "loop", _LONG, ["--cpu"]),
        (f"llama-cpp-python stream, {_SHORT} tokens", "stream", _SHORT, ["--cpu"]),
        (f"llama-cpp-python stream, {2 * _SHORT} tokens", "stream", 2 * _SHORT, ["--cpu"]),
        ("llama-cpp-python generate, decode apart", "loop", _SHORT, ["--apart"]),
        ("llama-cpp-python generate, decode apart, busy", "loop", _SHORT, ["--apart", "--busy"]),
    ]
    try:
        for name, task, n, options in theirs:
            contenders[name] = place.theirs(task, place.null_model, n, text, *options, null=True)
    except build.CannotMeasure as error:
        table.remarks.append(str(error))
    found = interleaved(contenders, place.rounds)
    for name, values in found.items():
        number = Spread.of([1e6 * value for value in values])
        table.rows.append(Row(name, number, "us", target=targets.get(name)))
    long, short = (found[f"ours, Llama.generate, {n} tokens"] for n in (_LONG, _SHORT))
    name = f"ours, Llama.generate, {_LONG} over {_SHORT} tokens"
    table.rows.append(Row(name, ratios(long, short), target=at_most(1.2)))
    for idle, busy, _ in _BUSY:
        ratio = ratios(found[busy], found[idle])
        table.rows.append(Row(f"{busy} over idle", ratio, target=at_most(1.5)))
    return table


def busy(place: Place) -> Table:
    """A token of a tiny model while another Python thread computes, by what may help."""
    table = Table("a token of a tiny model, with another Python thread busy")
    text = place.file("prompt.txt", PROMPT)
    ways = {"Llama.generate": ("stream", 64), "4 sequences, Llama.generate_many": ("many", 4)}
    contenders: dict[str, Contender] = {}
    for way, (task, n) in ways.items():
        given = (task, place.tiny_model, n, text)
        contenders[f"{way}, idle"] = place.ours(*given)
        contenders[f"{way}, busy"] = place.ours(*given, "--busy")
        for seconds in ("0.001", "0.0001"):
            name = f"{way}, busy, sys.setswitchinterval({seconds})"
            contenders[name] = place.ours(*given, "--busy", "--switch", seconds)
    found = interleaved(contenders, place.rounds)
    for name, values in found.items():
        number = Spread.of([1e6 * value for value in values])
        table.rows.append(Row(name, number, "us"))
    for name, values in found.items():
        over = ratios(values, found["Llama.generate, idle"])
        table.rows.append(Row(f"{name}, over Llama.generate, idle", over))
    return table


_BUSY = [
    ("ours, loop, decode apart", "ours, loop, decode apart, busy", "loop"),
    ("ours, Llama.generate, decode apart", "ours, Llama.generate, decode apart, busy", "stream"),
]
