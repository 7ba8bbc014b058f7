"""The constraint of an answer, and the value of its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _std as std
from .._needs import needs
from ..errors import LlamaAnswerError
from ..model.model import LlamaModel
from .chain import LlamaSampler
from .grammar import Stopped, never

_KINDS = ("grammar", "json_schema", "regex", "lark", "output_type")


class Answer:
    """The constraint of a generation, of its options ``grammar``, ``json_schema``, ``regex``,
    ``lark`` and ``output_type``."""

    kind: str | None = None
    """The name of its option."""
    is_json = False
    """Whether the text is JSON, which `value` reads."""
    _given: Any = None
    _adapter: Any = None

    def __init__(self, options: Mapping[str, Any], stopped: Stopped = never) -> None:
        """Raises ValueError for more than one, and TypeError for a type without a schema."""
        self._stopped = stopped
        if options.keys().isdisjoint(_KINDS):
            return
        kinds = [kind for kind in _KINDS if options.get(kind) is not None]
        if not kinds:
            return
        if len(kinds) > 1:
            raise ValueError(f"a text cannot follow {' and '.join(kinds)}: give one of them")
        self.kind = kinds[0]
        self.is_json = self.kind in ("json_schema", "output_type")
        self._given = options[self.kind]
        if self.kind == "output_type":
            self._adapter, self._given = _adapter(self._given)
        if self.kind != "grammar" and options.get("sampler") is not None:
            raise ValueError(f"{self.kind} is not for a sampler of your own: use its guided()")

    def constrain(self, chain: LlamaSampler, model: LlamaModel) -> None:
        """Begin ``chain`` with the constraint."""
        chain.stopped = self._stopped
        if self.kind == "grammar":
            chain.grammar(model, self._given)
        elif self.kind == "output_type":  # which Pydantic checks in the end
            chain.guided(model, json_schema=self._given, lenient=True)
        elif self.kind is not None:
            chain.guided(model, **{self.kind: self._given})
        chain.stopped = never

    def value(self, text: str, complete: bool) -> Any:
        """The value of ``text``: an object of ``output_type``, the parsed JSON of a
        ``json_schema``, otherwise None. LlamaAnswerError if the text is not ``complete`` or not
        valid."""
        if not self.is_json:
            return None
        problem: object = "a number may have more digits"
        try:
            # Of JSON that is cut off, only numbers look whole.
            if complete or not text[-1:].isdigit():
                return self._adapter.validate_json(text) if self._adapter else std.json.loads(text)
        except ValueError as error:  # Pydantic's are such too
            problem = error
        if complete:
            raise LlamaAnswerError(f"the answer does not fit {self.kind}: {problem}", text=text)
        raise LlamaAnswerError(
            f"the answer is not complete, it ends with {text[-60:]!r}: allow it more max_tokens, "
            "and no stop strings that it may contain",
            text=text,
        )


def _adapter(output_type: Any) -> tuple[Any, dict[str, Any]]:
    """A validator for ``output_type``, and its schema."""
    pydantic = needs("pydantic", "output_type=", extra="structured")
    try:
        adapter = pydantic.TypeAdapter(output_type)
        return adapter, _closed(adapter.json_schema())
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"output_type {output_type!r}: {error}") from error


def _closed(schema: Any) -> Any:
    """``schema``, closed to members that Pydantic would ignore."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
