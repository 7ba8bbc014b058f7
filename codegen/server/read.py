"""A llama.cpp tree to `Server`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from . import options, requests
from .cpp import Code, read
from .model import Field, Server
from .routes import routes
from .types import Helpers

CONFIG = Path(__file__).with_name("server.toml")


@cache
def config() -> dict[str, Any]:
    """The content of ``server.toml``."""
    return tomli.loads(CONFIG.read_text("utf-8"))


def left_out(kind: str) -> dict[str, str]:
    """The names of ``kind`` (fields, options, routes) that the package leaves out, and why."""
    return dict(config()["left_out"][kind])


def sources() -> tuple[str, ...]:
    """The files of a tree that `server` reads, where they are."""
    names = [config()[key] for key in ("schema", "options", "routes")]
    named = [spec for specs in config()["requests"].values() for spec in specs]
    named += config()["programs"].values()
    names += [spec.split()[0] for spec in named]
    return tuple(dict.fromkeys((*names, *config()["helpers"])))


def needed() -> tuple[str, ...]:
    """Those without which a tree cannot be read."""
    return tuple(name for name in sources() if name not in config()["helpers"])


def server(root: Path, tag: str, constants: Mapping[str, int]) -> Server:
    """Read the server of the tree at ``root``. ``constants`` are C's, for limits of options.

    Raises CodegenError, with file and line, for code in an unknown form.
    """
    helpers = [name for name in config()["helpers"] if (root / name).is_file()]
    names = [*needed(), *helpers]
    codes = {name: read(root, name) for name in names}
    known = Helpers({name: codes[name] for name in helpers})
    table = codes[config()["options"]]
    return Server(
        tag,
        _requests(codes, known),
        tuple(options.table(table, known, constants)),
        tuple(options.presets(table, known)),
        {
            program: tuple(options.loop(codes[spec.split()[0]], spec.split()[1]))
            for program, spec in config()["programs"].items()
        },
        tuple(routes(codes[config()["routes"]])),
        {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names},
    )


def _requests(codes: Mapping[str, Code], known: Helpers) -> dict[str, tuple[Field, ...]]:
    schema = requests.schema(codes[config()["schema"]], known)
    found: dict[str, tuple[Field, ...]] = {}
    for kind, specs in config()["requests"].items():
        fields = schema if kind == "generation" else []
        for spec in specs:
            file, function, *variable = spec.split()
            read_ones = requests.read_by(codes[file], function, "".join(variable), known)
            names = {f.name for f in fields}
            fields = [*fields, *(f for f in read_ones if f.name not in names)]
        found[kind] = requests.merged(fields, {f.name: f for f in schema})
    return found
