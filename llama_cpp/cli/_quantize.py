"""``llama-py quantize``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..engine.machine import usable_cores
from ..model.gguf import parts
from ..model.quantizing import quantize as quantize_file
from ..native.library import LlamaLibrary
from ._common import COUNT, MODEL, bar, find


@click.command()
@click.option(
    "--imatrix", type=click.Path(exists=True, dir_okay=False), help="Importance matrix, as GGUF."
)
@click.option("--allow-requantize", is_flag=True, help="Accept a model that is quantized already.")
@click.option("--pure", is_flag=True, help="One type for all tensors, no mixture.")
@click.option("--leave-output-tensor", is_flag=True, help="Keep the type of the output tensor.")
@click.option("--output-tensor-type", metavar="TYPE", help="Type of the output tensor.")
@click.option("--token-embedding-type", metavar="TYPE", help="Type of the token embeddings.")
@click.option(
    "--tensor-type",
    multiple=True,
    metavar="NAME=TYPE",
    help="Type of some tensors; can be repeated.",
)
@click.option("--prune-layers", metavar="N,N,...", help="Layers to leave out.")
@click.option("--keep-split", is_flag=True, help="As many files as the MODEL has.")
@click.option(
    "--override-kv", multiple=True, metavar="KEY=TYPE:VALUE", help="Metadata; can be repeated."
)
@click.option("--max-buffer-size", type=COUNT, metavar="MIB", help="Memory for a tensor's rows.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--threads", type=COUNT, help="By default the usable cores.")
@click.argument("source", type=MODEL, metavar="MODEL")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("ftype", metavar="[TYPE]", default="Q4_K_M")
def quantize(source: str, target: Path, ftype: str, threads: int | None, **options: Any) -> None:
    """Write a smaller copy of a MODEL.

    Its weights have the type TYPE, by default Q4_K_M. TARGET appears only when it is
    complete; Ctrl-C leaves nothing behind.
    """
    path = find(source)
    options = _keywords(**options)
    with bar(f"Quantizing {path.name} to {ftype}") as progress:
        files = quantize_file(
            path, target, ftype, progress=progress, nthread=threads or usable_cores(), **options
        )
    before = sum(part.stat().st_size for part in parts(LlamaLibrary.default(), path))
    for file in files:
        size = file.stat().st_size
        click.echo(f"{file}: {size / 1e6:.1f} MB ({before / 1e6:.1f} MB before)")


def _keywords(
    leave_output_tensor: bool, tensor_type: Sequence[str], prune_layers: str | None,
    override_kv: Sequence[str], max_buffer_size: int | None, **others: Any,
) -> dict[str, Any]:  # fmt: skip
    """The command's options as keywords of ``quantize``."""
    given = {name: value for name, value in others.items() if value is not None}
    if max_buffer_size is not None:
        given["max_buf_size"] = max_buffer_size << 20
    try:
        layers = [int(n) for n in prune_layers.split(",")] if prune_layers else None
        types = dict(word.rsplit("=", 1) for word in tensor_type)
        values = {key: _TYPES[kind](v) for key, kind, v in map(_metadata, override_kv)}
    except (ValueError, KeyError) as error:
        names = "--tensor-type, --prune-layers and --override-kv"
        raise click.UsageError(f"{names} must be as the help shows: {error}") from error
    return given | {
        "quantize_output_tensor": not leave_output_tensor, "tensor_types": types,
        "prune_layers": layers, "kv_overrides": values,
    }  # fmt: skip


def _metadata(word: str) -> tuple[str, str, str]:
    key, rest = word.split("=", 1)
    kind, value = rest.split(":", 1)
    return key, kind, value


_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": "true".__eq__}
