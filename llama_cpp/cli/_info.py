"""``llama-py info``: about a model, or about the library and its devices."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from .. import _raw
from ..model.device import devices
from ..model.gguf import GGUFFile, parts
from ..model.model import LlamaModel
from ..native.library import LlamaLibrary
from ._common import MODEL, engine_of, find, give, json_option, show

_SHOWN = 100  # characters of a value, without --json


@click.command(short_help="About a MODEL, or the library.")
@json_option
@click.argument("model", type=MODEL, required=False)
def info(as_json: bool, model: str | None) -> None:
    """About a MODEL; without one, about the library and its devices."""
    facts = _library() if model is None else _model(find(model))
    if as_json:
        give(facts)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    _fill(table, facts)
    show(table)


def _fill(table: Table, facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if name in ("metadata", "special_tokens", "tensor_types"):
            table.add_row("")
            table.add_row(name.replace("_", " "))
            for key, one in value.items():
                table.add_row(f"  {key}", _shown(one))
        elif isinstance(value, list):
            for one in value:
                table.add_row(name.removesuffix("s"), _shown(one))
        else:
            table.add_row(name.replace("_", " "), _shown(value))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', ' ')} {_part(name, one)}" for name, one in value.items()
        )
    text = f"{value:,}" if isinstance(value, int) else str(value).replace("\n", "\\n")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def _part(name: str, value: Any) -> str:
    return f"{value / 1e9:.1f} GB" if name.startswith("memory") else str(value)


def _library() -> dict[str, Any]:
    library = LlamaLibrary.default()  # raises an error if the ABI check fails
    engine = engine_of(library)
    return {
        "library": str(library.path),
        "engine": None if engine is None else f"{engine.tag}, from {engine.origin}",
        "bindings": _raw.TAG,
        "abi_check": "passed",
        "devices": [
            {
                "name": device.name,
                "type": device.type.name.rpartition("_")[2],
                "description": device.description,
                "memory_free": device.memory_free,
                "memory_total": device.memory_total,
            }
            for device in devices(library)
        ],
    }


def _model(path: Path) -> dict[str, Any]:
    """Facts from the file; its weights are not read."""
    with LlamaModel.from_file(path, vocab_only=True) as model:
        metadata = dict(model.metadata)
        files = parts(model.library, path)
        tensors = [t for file in files for t in GGUFFile(model.library, file).tensors().values()]
        vocab = model.vocab
        arch = metadata.get("general.architecture", "")
        special = {
            name: None if token is None else {"id": token, "text": vocab.text(token)}
            for name in ("bos", "eos", "eot", "pad", "sep", "fim_pre", "fim_suf", "fim_mid")
            if (token := getattr(vocab, name)) is not None
        }

        def number(key: str) -> int | None:
            text = metadata.get(f"{arch}.{key}", "")
            return int(text) if text.isdigit() else None

        return {
            "files": [str(file) for file in files],
            "size": sum(file.stat().st_size for file in files),
            "name": metadata.get("general.name"),
            "architecture": arch,
            "quantization": _quantization(metadata.get("general.file_type", "")),
            "parameters": sum(math.prod(tensor.shape) for tensor in tensors),
            "context_length": number("context_length"),
            "embedding_length": number("embedding_length"),
            "layers": number("block_count"),
            "heads": number("attention.head_count"),
            "heads_kv": number("attention.head_count_kv"),
            "vocabulary": len(vocab),
            "chat_template": model.chat_template is not None,
            "special_tokens": special,
            "tensor_types": {
                _raw.ggml_type(type_).name.removeprefix("GGML_TYPE_"): count
                for type_, count in Counter(tensor.type for tensor in tensors).most_common()
            },
            "metadata": metadata,
        }


def _quantization(file_type: str) -> str | None:
    names = {str(int(member)): member.name for member in _raw.llama_ftype}
    name = names.get(file_type)
    return None if name is None else name.removeprefix("LLAMA_FTYPE_").partition("_")[2]
