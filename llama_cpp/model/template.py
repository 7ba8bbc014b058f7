"""A model's Jinja templates, run as the transformers library runs them, and within limits.

A template comes with a file from the internet. It gets plain data and no Python objects, and has a
budget of time and of memory. Needs jinja2, the extra ``chat``.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

from jinja2 import Undefined, filters, nodes, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from ..errors import LlamaTemplateError

SECONDS = 10.0
"""The time that a rendering may take."""
BUDGET = 1 << 26
"""The maximum of characters and list items in a rendering, besides 64 for each in its input."""
# Several times the size of the largest known template. The time of a compilation grows with its
# square.
_LONGEST = 1 << 16
_NODES = 1 << 13
_DEEPEST = 64
_LARGEST = 1 << 64

_TEXT_METHODS = """\
    capitalize count endswith find format index isalnum isalpha isdigit islower isnumeric isspace
    isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition
    rsplit rstrip split splitlines startswith strip swapcase title upper"""
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset({"get", "items", "keys", "values", "copy"}),
    # The lists are the rendering's own: a template may change them.
    list: frozenset({"append", "copy", "count", "index", "pop"}),
}
_FILTERS = """\
    abs capitalize count d default dictsort first float groupby int items last length list lower
    map max min reject rejectattr replace reverse select selectattr sort title trim unique upper
    wordcount"""
_GLOBALS = ("range", "dict", "cycler", "joiner")


class _Spent(Exception):
    """A rendering has used its budget."""


class _Meter(threading.local):
    """The remaining allowance of this thread's rendering."""

    left = BUDGET
    until = float("inf")
    late = ""

    def spend(self, cost: int) -> None:
        self.left -= 1 + max(0, cost)
        if self.left < 0:
            raise _Spent("it makes too much text")
        if time.monotonic() > self.until:
            raise _Spent(f"it takes longer than {SECONDS:g} seconds")

    def weigh(self, value: Any, depth: int = 0) -> None:
        """Spend the size of ``value``: lists that share their items can grow without end."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, list | tuple | dict):
            if depth > _DEEPEST:
                raise _Spent("its lists are nested too deep")
            self.spend(8 * depth)
            for item in value.items() if isinstance(value, dict) else value:
                self.weigh(item, depth + 1)

    def ticking(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.spend(1)
            yield value

    def charged(self, value: Any) -> Any:
        """``value``, which a filter or a call made, paid for."""
        if isinstance(value, Iterator) and not isinstance(value, LoopContext):
            return self.ticking(value)
        if isinstance(value, type({}.keys()) | type({}.values()) | type({}.items())):
            value = list(value)
        self.weigh(value)
        return value

    @contextmanager
    def running(self, given: int) -> Iterator[None]:
        before = self.left, self.until
        self.left, self.until = BUDGET + 64 * given, time.monotonic() + SECONDS
        try:
            yield
        finally:
            self.left, self.until = before


_meter = _Meter()


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    _meter.weigh(value)
    return str(value)


def _joined(values: Iterable[Any], between: str = "") -> str:
    texts = [_text(value) for value in values]
    _meter.spend(len(between) * len(texts) + sum(map(len, texts)))
    return between.join(texts)


def _concatenated(*values: Any) -> str:
    return _joined(values)


def _same(value: Any) -> Any:
    return value


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    _small(indent or 0)
    _meter.weigh(value)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> Any:
    if isinstance(value, Iterator):
        return _meter.charged(list(value))
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _small(number: Any) -> None:
    if not isinstance(number, str) and number > 8:
        raise SecurityError(f"a width of {number} is too large")


def _indent(text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    _small(width)
    _meter.spend(10 * _text(text).count("\n"))
    return str(filters.do_indent(_text(text), width, first, blank))


@pass_environment
def _join(environment: Any, values: Any, d: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        values = map(filters.make_attrgetter(environment, attribute), values)
    return _joined(values, _text(d))


def _metered(function: Callable[..., Any]) -> Callable[..., Any]:
    number = function in (filters.do_int, filters.do_float)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            if isinstance(value, str):
                _meter.spend(len(value))
                if number and len(value) > 300:
                    raise SecurityError(f"a number has {len(value)} digits")
        return _meter.charged(function(*args, **kwargs))

    return call


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = map(_text, (text, old, new))
    _meter.spend(text.count(old) * len(new))
    return str(text.replace(old, new, -1 if count is None else count))


class _Namespace(Namespace):
    def __repr__(self) -> str:
        return "<Namespace>"


def _raise(message: Any = "") -> None:
    raise LlamaTemplateError(f"the chat template refuses the messages: {message}")


def _now(format: str) -> str:
    return datetime.now().strftime(format)


class _Generation(Extension):
    """``{% generation %}``, which marks the model's own words for training: it has no effect."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Watched(NodeTransformer):
    """Has the environment called wherever a template loops, or makes a text or a list."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        tick = _call("_tick")
        node.body.insert(0, nodes.ExprStmt(tick))
        if node.test is not None:
            node.test = nodes.And(nodes.Not(_call("_tick")), node.test)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("_concatenated", *node.nodes)

    def visit_List(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        constant = all(isinstance(child, nodes.Const) for child in node.iter_child_nodes())
        if constant or getattr(node, "ctx", "load") != "load":
            return node
        return _call("_same", node)

    visit_Tuple = visit_Dict = visit_List


def _call(name: str, *args: nodes.Expr) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(args), [], None, None)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})
    _tick = staticmethod(lambda: None)
    _concatenated = staticmethod(_concatenated)
    _same = staticmethod(_same)
    concat = staticmethod(_joined)

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            finalize=_text,
            optimized=False,
        )
        own = {"tojson": _to_json, "indent": _indent, "join": _join, "replace": _replace}
        self.filters = {name: _metered(self.filters[name]) for name in _FILTERS.split()}
        self.filters |= {**own, "string": _text, "safe": _text}
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.globals |= {"namespace": _Namespace, "raise_exception": _raise, "strftime_now": _now}

    def wrap_str_format(self, value: Any) -> None:
        """`call` has it."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super(ImmutableSandboxedEnvironment, self).is_safe_attribute(obj, attr, value):
            return False
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return isinstance(obj, LoopContext | Macro | Namespace | Cycler | Joiner)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        left, right = ("" if isinstance(v, Undefined) else v for v in (left, right))
        if operator == "**":
            raise SecurityError("there is no ** in chat templates")
        if isinstance(left, str) and operator == "%":
            raise SecurityError("there is no % for text in chat templates")
        sizes = [len(v) if isinstance(v, str | list | tuple) else 0 for v in (left, right)]
        if operator == "*" and any(sizes):
            sizes = [max(sizes) * (left if isinstance(left, int) else right)]
        _meter.spend(sum(sizes))
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) > _LARGEST:
            raise SecurityError("a number is too large")
        return result

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _meter.spend(1)
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            if name == "join":
                return _joined(args[0], owner)
            if name == "replace":
                return _replace(owner, *args)
            if name == "format":
                if not re.fullmatch(r"[^{}]*(?:\{\w*\}[^{}]*)*", owner):
                    raise SecurityError(f"{owner!r} is not a format for chat templates")
                texts = [_text(value) for value in (*args, *kwargs.values())]
                _meter.spend(owner.count("{") * sum(map(len, texts)))
        elif isinstance(owner, list):
            _meter.weigh(args)
        return _meter.charged(super().call(context, obj, *args, **kwargs))


class Template:
    """A Jinja template. Raises LlamaTemplateError for a faulty one."""

    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > _LONGEST:
            raise LlamaTemplateError(f"the chat template has {len(source)} characters: too many")
        environment = _Environment()
        with _meter.running(len(source)), _errors():
            tree = environment.parse(source)
            if sum(1 for _ in tree.find_all(nodes.Node)) > _NODES:
                raise LlamaTemplateError(f"the chat template has more than {_NODES} parts")
            tree = _Watched().visit(tree)
            self._template = environment.from_string(tree)

    def render(self, variables: dict[str, Any]) -> str:
        """The text for ``variables``, which are data as of JSON.

        Raises LlamaTemplateError for the template's own errors, if it takes longer than `SECONDS`,
        and if it makes too much text.
        """
        with _errors():
            data = json.dumps(variables)
            with _meter.running(len(data)):
                return self._template.render(json.loads(data))


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except LlamaTemplateError:
        raise
    except _Spent as error:
        raise LlamaTemplateError(f"the chat template was stopped: {error}") from None
    except Exception as error:
        raise LlamaTemplateError(
            f"the chat template cannot be rendered: {type(error).__name__}: {error}"
        ) from error


compiled = lru_cache(maxsize=32)(Template)
"""`Template` of a text, made once."""
