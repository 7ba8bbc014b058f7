"""JSON schemas as constraints: a public suite's instances, and the texts of random schemas.

``--suite`` is a copy of github.com/json-schema-org/JSON-Schema-Test-Suite: each of its instances
must be accepted or refused as it says, where llguidance takes the schema, but for those in
`_REFUSED`. Texts that a tiny random model writes for random schemas must be valid; jsonschema
judges.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from examples.fetch_model import fetch_model
from llama_cpp import Llama, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaAnswerError, LlamaSamplerError
from tests.support import tiny

# What the suite calls valid and llguidance refuses, by file and words of the description. It writes
# one text for each value, and takes a format for a rule.
_REFUSED: dict[str, dict[str, tuple[str, ...]]] = {
    "members in an order of their own": {
        "allOf": ("allOf: allOf",),
        "const": ("same object with different property order",),
    },
    "a whole number with .0": {
        "const": ("float zero", "float one", "float -2.0", "float is valid"),
        "enum": ("float zero", "[0.0] is valid", "float one", "[1.0] is valid"),
        "type": ("a float with zero fractional part",),
    },
    "a format is checked": {"format": ("is only an annotation by default",)},
}


def _is_known(file: str, description: str) -> bool:
    known = (word for kind in _REFUSED.values() for word in kind.get(file, ()))
    return any(word in description for word in known)


def accepts(model: LlamaModel, sampler: LlamaSampler, text: str) -> bool:
    """Whether ``sampler`` takes ``text``, all of it and as a whole."""
    end = model.vocab.eos
    assert end is not None
    sampler.reset()
    try:
        for token in [*model.tokenize(text, add_special=False), end]:
            sampler.accept(token)
    except LlamaSamplerError:
        return False
    return True


def suite(model: LlamaModel, folder: Path) -> Counter[str]:
    """How the instances of the suite in ``folder`` fared."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("tests/draft2020-12/*.json")):
        for group in json.loads(path.read_text("utf-8")):
            schema = group["schema"]
            try:
                sampler = LlamaSampler.chain(model.library).guided(model, json_schema=schema)
            except LlamaSamplerError:
                found["in schemas that are refused"] += len(group["tests"])
                continue
            for test in group["tests"]:
                taken = _taken(model, sampler, schema, test["data"])
                name = f"{group['description']}: {test['description']}"
                kind = "as they should" if taken == test["valid"] else "WRONG"
                if kind == "WRONG" and not taken and _is_known(path.stem, name):
                    kind = "valid, and known not to be taken"
                found[f"{'accepted' if taken else 'refused'}: {kind}"] += 1
                if kind == "WRONG":
                    print(f"  {kind}: {path.stem}: {name}: {json.dumps(test['data'])[:80]}")
    return found


def _taken(model: LlamaModel, sampler: LlamaSampler, schema: Any, data: Any) -> bool:
    if isinstance(data, dict) and isinstance(schema, dict):
        # llguidance wants the members in the order of the schema, which JSON leaves open.
        known = [name for name in schema.get("properties", ()) if name in data]
        data = {name: data[name] for name in [*known, *(n for n in data if n not in known)]}
    return accepts(model, sampler, json.dumps(data, ensure_ascii=False))


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text("abcdef", min_size=1, max_size=4)

    def make(properties: dict[str, Any], required: int) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "required": [*properties][:required],
            "additionalProperties": False,
        }

    return st.builds(make, st.dictionaries(names, inner, max_size=4), st.integers(0, 4))


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda items, least, more: {
            "type": "array", "items": items, "minItems": least, "maxItems": least + more
        },
        inner, st.integers(0, 2), st.integers(0, 2),
    )  # fmt: skip


_values = st.one_of(
    st.none(), st.booleans(), st.integers(-999, 999), st.text('ab é"\\', max_size=4)
)
_schemas = st.recursive(
    st.one_of(
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
            st.integers(-1000, 1000), st.integers(0, 1000),
        ),
        st.builds(
            lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
            st.integers(0, 3), st.integers(0, 8),
        ),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}]),
        st.sampled_from([{"pattern": "^[a-c]{2,4}$"}, {"format": "date"}]).map(
            lambda more: {"type": "string", **more}
        ),
        st.builds(lambda values: {"enum": values}, st.lists(_values, min_size=1, max_size=4)),
        st.builds(lambda value: {"const": value}, _values),
    ),
    lambda inner: st.one_of(
        _objects(inner), _arrays(inner),
        st.builds(lambda any_of: {"anyOf": any_of}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)  # fmt: skip


def texts(llm: Llama, examples: int, start: int) -> Counter[str]:
    """The outcomes of the texts for ``examples`` random schemas."""
    found: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_schemas, st.integers(0, 1000))
    def check(schema: Any, number: int) -> None:
        try:
            done = llm.complete(
                "the cat", json_schema=schema, max_tokens=900, seed=number, temperature=1.5
            )
        except LlamaAnswerError:
            found["cut off"] += 1
            return
        jsonschema.validate(done.output, schema, format_checker=jsonschema.FormatChecker())
        found["valid"] += 1

    check()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make checks NAME=schemas ARGS=", description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="random schemas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suite", type=Path, help="the folder of the public suite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = tiny.make("llama", Path(folder))
        with Llama(path, n_ctx=1024, n_threads=1, n_threads_batch=1) as llm:
            print(f"texts of random schemas: {dict(texts(llm, options.n, options.seed))}")
    found: Counter[str] = Counter()
    if options.suite is not None:
        found = suite(LlamaModel.from_file(fetch_model(), vocab_only=True), options.suite)
        print(f"instances of the suite: {dict(found)}")
    return 1 if found["accepted: WRONG"] or found["refused: WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
