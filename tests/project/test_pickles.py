"""Every public error and result can be pickled and copied: worker processes send them home."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llama_cpp import errors

_PACKAGES = ("native", "engine", "model", "sampling", "context", "generate", "server", "agent")


def _public() -> Iterator[type[Any]]:
    for name in ("", ".errors", ".usage", *(f".{package}" for package in _PACKAGES)):
        module = importlib.import_module(f"llama_cpp{name}")
        for attribute in dir(module):
            thing = getattr(module, attribute)
            # A tool is the program's own function: whether that pickles is its matter.
            ours = inspect.isclass(thing) and thing.__module__.startswith("llama_cpp")
            result = dataclasses.is_dataclass(thing) and attribute != "Tool"
            if ours and (result or issubclass(thing, errors.LlamaError)):
                yield thing


def _value(hint: Any) -> Any:
    """A value for a type hint; of classes and exceptions, one made with all that they take."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (typing.Union, types.UnionType):
        return _value(arguments[0])
    if origin is dict or getattr(origin, "__name__", "") == "Mapping":
        return {"key": ["value", None]}
    if origin is tuple:
        return tuple(_value(argument) for argument in arguments if argument is not ...)
    if origin in (list, frozenset):
        of_itself = getattr(arguments[0], "__name__", "") in ("TokenLogprob", "Completion")
        return origin([] if of_itself else [_value(arguments[0])])
    if getattr(origin, "__name__", "") in ("Sequence", "Iterable"):
        return [_value(arguments[0])]
    if hint is Callable or getattr(origin, "__name__", "") == "Callable":
        return len
    kind = origin or hint
    simple = {str: "text", int: 7, float: 0.5, bool: True, bytes: b"b", type(None): None}
    if kind in simple:
        return simple[kind]
    if inspect.isclass(kind) and issubclass(kind, Exception):
        return errors.LlamaDecodeError("no room", code=1)
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: _value(hints[f.name]) for f in dataclasses.fields(kind) if f.init})
    if isinstance(hint, typing.TypeVar) or hint is Any:
        return {"any": [1]}
    return importlib.import_module("pathlib").Path("file")


def _made(kind: type[Any]) -> Any:
    if not issubclass(kind, errors.LlamaError):
        return _value(kind)
    hints = typing.get_type_hints(kind.__init__) if "__init__" in vars(kind) else {}
    for base in kind.__mro__:
        if "__init__" in vars(base) and base.__module__ == errors.__name__:
            hints = typing.get_type_hints(base.__init__)
            break
    keywords = {n: _value(h) for n, h in hints.items() if n not in ("message", "return")}
    return kind("a message", **keywords)


def _facts(thing: Any) -> Any:
    if isinstance(thing, BaseException):
        return type(thing), str(thing), {k: _facts(v) for k, v in vars(thing).items()}
    if dataclasses.is_dataclass(thing):
        return type(thing), [_facts(getattr(thing, f.name)) for f in dataclasses.fields(thing)]
    return [_facts(one) for one in thing] if isinstance(thing, list) else thing


@pytest.mark.parametrize("kind", sorted(set(_public()), key=lambda k: k.__name__))
def test_it_pickles_and_copies(kind: type[Any]) -> None:
    thing = _made(kind)
    copies = [pickle.loads(pickle.dumps(thing, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (*copies, copy.copy(thing), copy.deepcopy(thing)):
        assert _facts(other) == _facts(thing)


def test_an_error_keeps_its_notes_and_what_a_program_adds() -> None:
    error = errors.LlamaStreamError("broke", partial={"choices": []})
    error.attempt = 3  # type: ignore[attr-defined]
    other = pickle.loads(pickle.dumps(error))
    assert (other.attempt, other.partial, other.args) == (3, {"choices": []}, ("broke",))
