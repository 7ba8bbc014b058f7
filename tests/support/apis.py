"""The API as data, with a fault planted."""

from __future__ import annotations

from dataclasses import replace

from codegen.api import Api


def changed(api: Api, kind: str, which: str, **changes: object) -> Api:
    values = [replace(v, **changes) if v.name == which else v for v in getattr(api, kind)]
    assert values != list(getattr(api, kind))
    return replace(api, **{kind: tuple(values)})
