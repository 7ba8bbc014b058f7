"""Witnesses that are not the generator: the built llama-server, asked for its help, started with
options, and sent requests."""

from __future__ import annotations

import json
import math
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..verify import Report
from .model import Field, Option, Server
from .read import left_out
from .render import keywords, of_server

_NAMES = re.compile(r"-{1,2}[A-Za-z][\w.-]*(?:,\s+-{1,2}[A-Za-z][\w.-]*)*")
_INDENTED = re.compile(r"^ +(-[\w-]+(?:, -[\w-]+)*)", re.MULTILINE)
_ENV = re.compile(r"\(env: (\w+)\)")

Send = Callable[[str, dict[str, Any]], int]

# A small request of each kind: its route, and what it has to have.
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "generation": ("/completion", {"prompt": "a", "max_tokens": 1}),
    "chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1, "logprobs": True},
    ),
    "infill": ("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 1}),
    "embedding": ("/embedding", {"content": "a"}),
    "rerank": ("/rerank", {"query": "a", "documents": ["b", "c"]}),
    "tokenize": ("/tokenize", {"content": "a"}),
    "detokenize": ("/detokenize", {"tokens": [1]}),
}


def help_of(program: Path) -> str:
    """The output of ``program --help``. llama-quantize exits with 1."""
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def by_help(server: Server, text: str) -> Report:
    """Whether ``text``, of ``llama-server --help``, has the same options, with the same names,
    words for their values, and environment variables."""
    listed = dict(_listed(text))
    report = Report("llama-server --help", {"options": len(listed)})
    for option in of_server(server.options):
        if option.condition and option.names not in {names for names, _ in listed.items()}:
            report.notes.append(f"{option.name} needs {option.condition}")
            continue
        names = (*option.names, *option.negatives)
        found = listed.pop(names, None)
        if found is None:
            report.faults.append(f"option {', '.join(names)} ({option.place}) is not in the help")
            continue
        hints, env = found
        wanted = " ".join(h for h in option.hints if "()" not in h)
        if wanted and hints != wanted:
            report.faults.append(f"{option.name} takes {hints or 'no value'}, not {wanted}")
        if option.type in ("flag", "switch") and hints:
            report.faults.append(f"{option.name} takes {hints}, and is a {option.type} here")
        if env != option.env:
            report.faults.append(
                f"{option.name} has the variable {env or 'none'}, not {option.env}"
            )
    report.faults += [f"option {', '.join(names)} of the help is missing" for names in listed]
    return report


def _listed(text: str) -> Iterator[tuple[tuple[str, ...], tuple[str, str]]]:
    """Each option of the help: names -> words for its values, and environment variable."""
    for block in re.split(r"\n(?=-)", text):
        if not block.startswith("-") or block.startswith("-----"):
            continue
        first = block.splitlines()[0]
        match = _NAMES.match(first)
        names = () if match is None else tuple(n.strip() for n in match[0].split(","))
        hints = first[match.end() if match else 0 :]
        # The description stands from the 41st column on, or on the next line.
        if len(first) > 40 and first[39] == " " and match and match.end() < 40:
            hints = first[match.end() : 40]
        env = _ENV.search(block)
        yield names, (hints.strip(), env[1] if env else "")


def by_usage(name: str, options: Sequence[Option], text: str) -> Report:
    """Whether ``text``, the help of the program ``name``, begins lines with the same names."""
    listed = {n for names in _INDENTED.findall(text) for n in names.replace(",", " ").split()}
    known = {n for option in options for n in option.names}
    report = Report(f"{name} --help", {"names": len(listed)})
    report.faults += [f"{n} is not in the help" for n in sorted(known - listed)]
    report.faults += [f"{n} of the help is missing" for n in sorted(listed - known)]
    return report


def by_start(server: Server, program: Path) -> Report:
    """Whether ``program`` takes each option's values in its limits, and refuses those beyond.

    It is asked for its version after the option: earlier options are checked first.
    """
    report = Report("llama-server OPTION --version")
    tried = [o for o in of_server(server.options) if not (o.ends or o.removed)]
    skipped = left_out("options")
    right: list[str] = []
    wrong: list[tuple[Option, str]] = []
    for option in tried:
        inside, beyond = _values(option)
        if not option.further and not any(word in skipped for word, _ in keywords(option)):
            for words in inside:
                right += [option.name, *words]
        wrong += [(option, value) for value in beyond]
    report.counts = {"words in limits": len(right), "values beyond": len(wrong)}
    said = _run(program, right)
    if said:
        report.faults.append(f"values in the limits are refused: {said}")
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda case: _run(program, [case[0].name, case[1]]), wrong)
        for (option, value), said in zip(wrong, answers, strict=True):
            if not said:
                report.faults.append(
                    f"{option.name} {value} is accepted, but beyond the limits ({option.place})"
                )
    return report


def _values(option: Option) -> tuple[list[list[str]], list[str]]:
    """Values that ``option`` should take, as words, and ones that it should not."""
    if option.type in ("flag", "switch", "pair"):
        return [["1", "2"] if option.type == "pair" else []], []
    low, high = option.minimum, option.maximum
    inside = [[word] for word in option.choices]
    beyond = ["no-such-word"] if option.choices or option.type != "str" else []
    if option.type in ("int", "float"):
        some = 1 if low is None or low < 1 else low
        inside.append([str(some)])
        step = 1 if option.type == "int" else 0.5
        beyond += [str(low - step)] if low is not None else []
        beyond += [str(high + step)] if high is not None else []
        if low is not None and low not in option.excluded and low > -(2**31):
            inside.append([str(low)])
    return inside, beyond + [str(value) for value in option.excluded]


def _run(program: Path, words: Sequence[str]) -> str:
    """The error for the ``words``, '' without one."""
    done = subprocess.run(
        [program, *words, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    lines = (done.stderr + done.stdout).strip().splitlines()
    if done.returncode == 0:
        return ""
    return next((line for line in lines if line.startswith("error")), f"exit {done.returncode}")


def by_requests(server: Server, send: Send, *kinds: str) -> Report:
    """Whether a running server accepts each field of requests of ``kinds`` with a value in its
    limits, and refuses a value beyond them. ``send`` posts JSON to a path and returns the status.
    """
    report = Report("requests")
    fields = [(kind, f) for kind in kinds for f in server.requests[kind]]
    count = 0
    for kind, field in fields:
        path, least = REQUESTS[kind]
        for name in (field.name, *field.aliases):
            for value, accepted in _tries(field):
                # The server reads n_predict by either name, and not both.
                rest = {
                    k: v for k, v in least.items() if field.name != "n_predict" or k == "prompt"
                }
                status = send(path, rest | {name: value})
                count += 1
                if (status == 200) != accepted:
                    wanted = "accept" if accepted else "refuse"
                    report.faults.append(
                        f"{name}={value!r}: the server should {wanted} it ({field.place}), but "
                        f"answers {status}"
                    )
    report.counts = {"fields": len(fields), "requests": count}
    return report


def _tries(field: Field) -> Iterator[tuple[Any, bool]]:
    """Values of ``field``, each with whether the server accepts it."""
    low, high = field.minimum, field.maximum
    if field.types in (("int",), ("float",)):
        least = low if isinstance(low, int | float) else field.default or 0
        yield (1 if field.name == "n_predict" else least), True
        step = 1 if field.types == ("int",) else 0.25
        for limit, beyond in ((low, -step), (high, step)):
            # JSON's integers end where C's do.
            if isinstance(limit, int | float) and abs(limit) < 2**31 - 1:
                yield limit + beyond, not field.hard
    elif field.choices:
        yield from ((word, True) for word in field.choices)
        yield "no-such-word", False
    elif field.types == ("bool",):
        yield from ((value, True) for value in (False, True) if field.name != "grammar_lazy")
    if field.ctype and "str" not in field.types:  # the server reads it with that type and no other
        yield "a word", False


def by_props(server: Server, params: dict[str, Any]) -> Report:
    """Whether ``params``, of /props, are the defaults that the sources state."""
    report = Report("/props")
    compared = 0
    known = {name for f in server.requests["generation"] for name in (f.name, *f.aliases)}
    known |= left_out("fields").keys() | left_out("settings").keys()
    report.faults += [
        f"the server has {name}, which is not a field here" for name in params if name not in known
    ]
    for field in server.requests["generation"]:
        for name in (field.name, *field.aliases):
            if name not in params or field.default is None or not field.ctype:
                continue
            compared += 1
            there = params[name]
            same = (
                math.isclose(there, field.default, rel_tol=1e-6)
                if isinstance(field.default, float)
                else there == field.default
            )
            if not same:
                report.faults.append(f"{name} is {there!r}, not {field.default!r} ({field.place})")
    report.counts = {"defaults": compared}
    return report


def sender(url: str, key: str) -> Send:
    """A `Send` for the server at ``url``."""

    def send(path: str, body: dict[str, Any]) -> int:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return send
