"""Tells PyInstaller where our hook is, which puts the engine into the programs that it makes."""

from pathlib import Path


def hook_dirs() -> list[str]:
    """The folder of the hook; an entry point that PyInstaller asks for."""
    return [str(Path(__file__).parent)]
