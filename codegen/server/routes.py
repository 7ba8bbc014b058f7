"""The routes that server.cpp registers."""

from __future__ import annotations

from collections.abc import Iterator

from .cpp import Code
from .model import Route

_METHODS = {"get": "GET", "post": "POST", "del": "DELETE"}
_OTHER = ("init", "start", "stop", "join")


def routes(code: Code) -> list[Route]:
    """Every route, once, in the order of the source."""
    found: dict[str, Route] = {}
    for route in _routes(code):
        found.setdefault(route.name, route)
    if not found:
        raise code.fault("no route is registered in a known way")
    return list(found.values())


def _routes(code: Code) -> Iterator[Route]:
    own = code.texts
    router: range = range(0)
    for at, text in enumerate(own):
        if own[at : at + 5] == ("if", "(", "is_router_server", ")", "{"):
            router = range(at, at + len(code.inside(at + 4)) + 5)
        if text != "ctx_http" or own[at + 1] != "." or own[at + 3] != "(":
            continue
        place = f"{code.file.rpartition('/')[2]}:{code.tokens[at].line}"
        method, arguments = own[at + 2], code.inside(at + 3).parts()
        if method in _METHODS:
            path, handler = arguments
            yield Route(_METHODS[method], path.string(), _handler(handler), at in router, place)
        elif method.startswith("register_"):
            yield Route("register", method.removeprefix("register_"), method, place=place)
        elif method not in _OTHER:
            raise code[at:].fault("not a known way to register a route")


def _handler(code: Code) -> str:
    """ex_wrapper(routes.get_health) -> get_health"""
    inside = code.inside(code.texts.index("(")) if "(" in code.texts else code
    return inside.texts[-1]
