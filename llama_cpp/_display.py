"""How objects show themselves in a notebook, progress bars there, and the keywords of functions.

Texts come from models and files, so nobody can trust them: none is read as HTML or Markdown.
"""

from __future__ import annotations

import importlib
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from typing_extensions import Self

    from .usage import Timings, Usage

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
# A character by its number is never markup. A line end would end the row of a table.
_MARKDOWN = str.maketrans({c: f"&#{ord(c)};" for c in "\\`*_{}[]()<>#+-.!|&~$:^="}) | {10: " "}
# The classes keep Jupyter from reading "$" as the begin of a formula.
_BOX = '<div class="tex2jax_ignore mathjax_ignore">'
_PRE = '<pre style="white-space: pre-wrap; font-family: inherit">'
_MOST = 500  # characters of a cell
_DELAY, _STEP = 1.0, 0.2  # seconds


class Sheet:
    """What a notebook shows of an object, as HTML and as Markdown."""

    def __init__(self) -> None:
        self.html = ""
        self.markdown = ""

    def text(self, text: str, title: str = "") -> Self:
        """Add ``text`` as it is, folded under ``title`` if there is one."""
        if not text:
            return self
        html = f"{_PRE}{text.translate(_HTML)}</pre>"
        if title:
            html = f"<details><summary>{title}</summary>{html}</details>"
            self.markdown += f"{title}:\n\n"
        self.html += html
        fence = "```"
        while fence in text:
            fence += "`"
        self.markdown += f"{fence}text\n{text}\n{fence}\n\n"
        return self

    def note(self, *facts: str) -> Self:
        """Add a line of facts in small letters; empty ones are left out."""
        text = ", ".join(filter(None, facts))
        self.html += f"<small>{text.translate(_HTML)}</small>"
        self.markdown += f"{text.translate(_MARKDOWN)}\n\n"
        return self

    def table(self, rows: Iterable[Iterable[object]], *head: str) -> Self:
        """Add a table; without a ``head`` its first column has the names of the values."""
        cells = [[_cell(value) for value in row] for row in rows]
        if cells:
            lines = [[c.translate(_MARKDOWN) for c in row] for row in [head or [""] * 2, *cells]]
            lines.insert(1, ["---"] * len(lines[0]))
            self.markdown += "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"
            top = "".join(f"<th>{name}</th>" for name in head)
            body = "".join(
                "<tr>" + "".join(f"<td>{c.translate(_HTML)}</td>" for c in row) + "</tr>"
                for row in cells
            )
            self.html += f"<table>{f'<tr>{top}</tr>' if head else ''}{body}</table>"
        return self


class Described:
    """A class whose methods show ``help``, IPython and others their keywords: `inspect.signature`
    has one parameter for each key of a TypedDict that is unpacked (``**options: Unpack[...]``)."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for function in vars(cls).values():
            function = getattr(function, "__func__", function)
            while hasattr(function, "__wrapped__"):
                function = function.__wrapped__
            hints = getattr(function, "__annotations__", None) or {}
            if any(str(hint).startswith("Unpack[") for hint in hints.values()):
                function.__wrapped__ = _Signed(function)


class Displayed(Described):
    """An object that notebooks show as its `_display` says, or by its repr if that is empty."""

    def _display(self) -> Sheet:
        raise NotImplementedError

    def _repr_html_(self) -> str | None:
        html = self._display().html
        return f"{_BOX}{html}</div>" if html else None

    def _repr_markdown_(self) -> str | None:
        return self._display().markdown or None


def facts(rows: Mapping[str, object]) -> Sheet:
    """A table of names and values; those that are None are left out."""
    return Sheet().table(row for row in rows.items() if row[1] is not None)


def size(n_bytes: int) -> str:
    """``n_bytes`` for a person, in MB or GB."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"


def spent(usage: Usage, timings: Timings) -> tuple[str, str]:
    """The tokens and the speed of a generation, for `Sheet.note`."""
    tokens = f"{usage.completion_tokens:,} tokens after {usage.prompt_tokens:,} of the prompt"
    rate = timings.tokens_per_second
    return tokens, f"{rate:,.1f} tokens/s" if rate else ""


def bar(label: str) -> Callable[[float], None] | None:
    """A function that shows in a notebook which part of a task is done, 0.0 to 1.0, if that takes
    longer than a second; None outside of notebooks."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return _Bar(label) if getattr(shell, "kernel", None) else None


class _Bar:
    def __init__(self, label: str) -> None:
        self._label = label.translate(_HTML)
        self._next = time.monotonic() + _DELAY
        self._shown: Any = None

    def __call__(self, done: float) -> None:
        now, last = time.monotonic(), done >= 1
        if now < self._next and not (last and self._shown):
            return
        display: Any = importlib.import_module("IPython.display")
        self._next = now + _STEP
        html = display.HTML(
            f"{self._label} {'&#10003;' if last else f'<progress value={done:.3f}></progress>'}"
        )
        if self._shown is None:
            self._shown = display.display(html, display_id=True)
        else:
            self._shown.update(html)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {one}" for name, one in value.items())
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= _MOST else f"{text[:_MOST]}... ({len(text):,} characters)"


class _Own:
    """The default of such a keyword: C's, or another one that its documentation says."""

    def __repr__(self) -> str:
        return "..."


class _Signed:
    """Has the signature of a function, made when `inspect` asks for it: to import that takes long.
    `inspect` looks for it where a decorator has the function that it wraps."""

    def __init__(self, function: Any) -> None:
        # A copy, which does not lead back here.
        self.__wrapped__ = made = type(function)(
            function.__code__, function.__globals__, function.__name__, function.__defaults__,
            function.__closure__,
        )  # fmt: skip
        made.__kwdefaults__, made.__annotations__ = (
            function.__kwdefaults__,
            function.__annotations__,
        )
        made.__qualname__, made.__doc__ = function.__qualname__, function.__doc__
        made.__module__ = function.__module__

    @property
    def __signature__(self) -> Any:
        import inspect

        from . import _params

        found = inspect.signature(self.__wrapped__)
        *own, last = found.parameters.values()
        name = str(last.annotation).removeprefix("Unpack[").removesuffix("]")
        table = self.__wrapped__.__globals__.get(name) or vars(_params).get(name)
        if table is None:  # imported for type checkers alone
            package = importlib.import_module(self.__wrapped__.__module__.rpartition(".")[0])
            table = getattr(package, name)
        for keyword, hint in table.__annotations__.items():
            kind = inspect.Parameter.KEYWORD_ONLY
            hint = getattr(hint, "__forward_arg__", hint)
            if keyword not in found.parameters:
                own.append(inspect.Parameter(keyword, kind, default=_Own(), annotation=hint))
        return found.replace(parameters=own)
