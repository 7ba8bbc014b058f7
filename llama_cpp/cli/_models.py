"""``llama-py pull``, ``models`` and ``rm``: the models in the caches."""

from __future__ import annotations

import click
from rich.table import Table

from ..model.hub import cached_model, cached_models
from ._common import fetch, give, json_option, show


@click.command()
@click.argument("model")
def pull(model: str) -> None:
    """Download a MODEL of the Hugging Face Hub.

    It is named as in hf:owner/repo:Q4_K_M. Prints the path of the file in the hub's cache.
    """
    if not model.startswith("hf:"):
        raise click.UsageError(f"{model} is not a model of the hub, hf:owner/repo:Q4_K_M")
    click.echo(fetch(model))


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the cached models, with their sizes."""
    found = cached_models()
    if as_json:
        give([{"name": m.name, "path": str(m.files[0]), "size": m.size} for m in found])
        return
    if not found:
        click.echo("No model in the caches; get one: llama-py pull hf:owner/repo:Q4_K_M", err=True)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for model in found:
        table.add_row(model.name, f"{model.size / 1e6:,.0f} MB")
    show(table)


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.argument("names", nargs=-1, required=True)
def rm(names: tuple[str, ...], yes: bool) -> None:
    """Delete models from the caches.

    NAMES are those that 'llama-py models' lists.
    """
    for model in [cached_model(name) for name in names]:
        if yes or click.confirm(f"Delete {model.name}, {model.size / 1e6:,.0f} MB?", err=True):
            for file in model.files:
                # The hub's cache has links to files that are named by hashes.
                stored = file.resolve()
                file.unlink()
                stored.unlink(missing_ok=True)
