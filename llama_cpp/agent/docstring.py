"""What a docstring says of a function and of its parameters: Google, NumPy and Sphinx styles."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(
    r"(args|arguments|parameters|params|other parameters|keyword args)\s*:?", re.I
)
_OTHER = re.compile(
    r"(returns?|yields?|raises?|examples?|notes?|warnings?|see also|references|attributes|todo)"
    r"\s*:?",
    re.I,
)
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_FIELD = re.compile(r":\w+[^:]*:")


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The description, without the sections about parameters and results, and what is said of
    each parameter."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    i = 0
    while i < len(lines):
        line = lines[i].strip()
        underlined = i + 1 < len(lines) and re.fullmatch(r"\s*-{3,}\s*", lines[i + 1]) is not None
        heading = underlined or line.endswith(":")
        if heading and (_SECTION.fullmatch(line) or _OTHER.fullmatch(line)):
            body, i = _section(lines, i + 1 + underlined, underlined)
            if _SECTION.fullmatch(line):
                read = _numpy if underlined else _google
                parameters.update(read(body))
        elif _FIELD.match(line):
            field, i = _field(lines, i)
            found = _SPHINX.match(field)
            if found:
                parameters[found[1]] = found[2].strip()
        else:
            description.append(lines[i].rstrip())
            i += 1
    return "\n".join(description).strip(), parameters


def _section(lines: list[str], start: int, underlined: bool) -> tuple[list[str], int]:
    """The lines of a section and where it ends: in Google style where the indent does."""
    end = start
    while end < len(lines):
        line = lines[end]
        if underlined:
            if end + 1 < len(lines) and re.fullmatch(r"\s*-{3,}\s*", lines[end + 1]):
                break
        elif line.strip() and not line[0].isspace():
            break
        end += 1
    return lines[start:end], end


def _field(lines: list[str], start: int) -> tuple[str, int]:
    """A Sphinx field with the indented lines that go on with it."""
    end = start + 1
    while end < len(lines) and lines[end][:1].isspace():
        end += 1
    return " ".join(line.strip() for line in lines[start:end]), end


def _google(lines: list[str]) -> dict[str, str]:
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    least = min(indents, default=0)
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = _GOOGLE.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == least else None
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        entry = None if line[0].isspace() else _NUMPY.fullmatch(line.strip())
        if entry:
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, ""))
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found
