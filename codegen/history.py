"""The generator on llama.cpp's past: many tags, each generated, imported and verified.

The project is not changed: every tag gets its own package in a temporary folder.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from . import generate, verify
from .errors import CodegenError
from .server import model as server_model
from .source import Tree, bindings, fetch_headers, pinned_tag

_COLUMNS = ("functions", "structs", "constants", "defaults", "fields", "options", "routes")
_ROW = "{:8}" + " {:>9}" * len(_COLUMNS) + " {:>8}  {}"


def spread(tags: Sequence[str], count: int) -> list[str]:
    """``count`` of ``tags``, evenly spread, the first and the last and the pin among them."""
    if count < 2:
        raise CodegenError(f"{count} tags make no history: at least 2")
    last = len(tags) - 1
    chosen = {tags[round(i * last / (count - 1))] for i in range(count)}
    chosen |= {pinned_tag()} & set(tags)
    return [tag for tag in tags if tag in chosen]


def run(tags: Sequence[str], say: Callable[[str], object]) -> bool:
    """Go through ``tags`` and ``say`` a table, row by row. Whether all of them were right."""
    say(_ROW.format("tag", *_COLUMNS, "seconds", "verified"))
    failed = []
    for tag in tags:
        started = time.monotonic()
        faults, numbers = _one(tag)
        seconds = f"{time.monotonic() - started:.1f}"
        state = f"NO: {len(faults)} faults" if faults else "compiler, ctypes, import"
        say(_ROW.format(tag, *numbers, seconds, state))
        for fault in faults[:20]:
            say(f"    {fault}")
        if faults:
            failed.append(tag)
    say(f"{len(tags)} tags, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return not failed


def _one(tag: str) -> tuple[list[str], tuple[object, ...]]:
    """The faults of the bindings of ``tag``, and the number for each column of the table."""
    numbers: tuple[object, ...] = ("-",) * len(_COLUMNS)
    try:
        tree = Tree(fetch_headers(tag), tag)
        apis = generate.read_apis(tree)
        units = {binding.module: tree.unit_of(binding) for binding in bindings()}
        compilers = [verify.by_compiler(api, units[api.module]) for api in apis]
        faults = [f"{r.name}: {fault}" for r in compilers for fault in r.faults]
        faults += generate.unusable(apis)
    except CodegenError as error:
        return [str(error)], numbers
    defaults = sum(len(values) for api in apis for values in api.defaults.values())
    if (
        not defaults
    ):  # nothing fails without them, but the bindings could not tell a foreign library
        faults.append("defaults: no value of any *_default_params() was found in the sources")
    count = sum((Counter(report.counts) for report in compilers), Counter[str]())
    constants = count["enum constants"] + count["constants"]
    server = apis[0].server
    # An older tag does not state its server's fields: it is given those of the project.
    stated = server_model.counts(server) if server and server.tag == tag else ("-",) * 3
    return faults, (count["functions"], count["structs"], constants, defaults, *stated)
