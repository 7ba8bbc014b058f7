"""``llama-py quantize``."""

from __future__ import annotations

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
@click.option("--threads", type=COUNT, help="By default the usable cores.")
@click.argument("source", type=MODEL, metavar="MODEL")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("ftype", metavar="[TYPE]", default="Q4_K_M")
def quantize(source: str, target: Path, ftype: str, threads: int | None, **options: Any) -> None:
    """Write a MODEL to TARGET in a smaller TYPE, by default Q4_K_M.

    TARGET appears only when it is complete; Ctrl-C leaves nothing behind.
    """
    path = find(source)
    with bar(f"Quantizing {path.name} to {ftype}") as progress:
        files = quantize_file(
            path, target, ftype, progress=progress, nthread=threads or usable_cores(), **options
        )
    before = sum(part.stat().st_size for part in parts(LlamaLibrary.default(), path))
    for file in files:
        size = file.stat().st_size
        click.echo(f"{file}: {size / 1e6:.1f} MB ({before / 1e6:.1f} MB before)")
