"""The command line of the engine: ``python -m llama_cpp.engine``."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .._raw import TAG
from ..errors import LlamaEngineError, LlamaError
from .building import build
from .find import engine_dir, engine_folder, engine_info, missing_features, preferred_engine
from .folders import has_backend
from .progress import say
from .releases import install_release


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m llama_cpp.engine", description="Install llama.cpp's engine in the cache."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    tag_help = "llama.cpp's tag, such as b11549 (default: the one the bindings are for)"
    install = commands.add_parser("install", help="release binaries, or a build from source")
    install.add_argument("--tag", default=TAG, help=tag_help)
    install.add_argument("--source", type=Path, help="a llama.cpp tree of that tag to build from")
    install.add_argument(
        "--from",
        dest="origin",
        choices=("auto", "release", "source"),
        default="auto",
        help="auto (default): the official release, else a build from --source",
    )
    backend_help = "a GPU backend: cuda, hip, metal, sycl, vulkan, ...; of a release also cuda-12.8"
    install.add_argument("--backend", help=backend_help)
    install.add_argument("--jobs", type=int, help="the number of compilers at once")
    where = commands.add_parser("where", help="print the folder of the engine in use")
    where.add_argument("--tag", default=TAG, help=tag_help)
    where.add_argument("--backend", help="of the engine with this GPU backend")
    args = parser.parse_args(arguments)
    if args.command == "install" and args.origin == "source" and args.source is None:
        parser.error("--from source needs --source DIR")
    try:
        with _ended_cleanly():
            if args.command == "where":
                return _where(args.tag, args.backend)
            return _install(args)
    except (LlamaError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was left behind")
        return 130


def _where(tag: str, backend: str | None) -> int:
    if backend is None:  # the engine that would be loaded
        folder = preferred_engine(tag, packaged=tag == TAG)
    else:
        folder = engine_dir(tag, backend)
    if folder is None:
        info = engine_info(engine_folder(tag, backend))
        why = "is built for another CPU" if info else "is not installed"
        more = f" --backend {backend}" if backend else ""
        raise LlamaEngineError(
            f"the engine {tag}{f' for {backend}' if backend else ''} {why}; run: "
            f"python -m llama_cpp.engine install --tag {tag}{more}"
        )
    print(folder)
    return 0


def _install(args: argparse.Namespace) -> int:
    folder = engine_folder(args.tag, args.backend)
    info = engine_info(folder)
    if info and not missing_features(info) and has_backend(info, args.backend):
        print(f"engine {args.tag}: already in {folder} (from {info.origin})")
        return 0
    if args.origin == "source":
        build(args.source, args.tag, jobs=args.jobs, backend=args.backend)
    else:
        try:
            install_release(args.tag, backend=args.backend)
        except LlamaError as error:
            if args.origin == "release" or args.source is None:
                hint = "" if args.origin == "release" else " (and no --source DIR to build from)"
                raise LlamaEngineError(f"no release binaries{hint}: {error}") from error
            say(f"engine {args.tag}: no release binaries: {error}")
            build(args.source, args.tag, jobs=args.jobs, backend=args.backend)
    installed = engine_info(folder)
    size = sum(p.stat().st_size for p in folder.iterdir() if not p.is_symlink())
    print(
        f"engine {args.tag}: installed in {folder} "
        f"(from {installed.origin if installed else '?'}, {size / 1e6:.0f} MB)"
    )
    return 0


@contextlib.contextmanager
def _ended_cleanly() -> Iterator[None]:
    """Make SIGTERM and a closed terminal clean up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Signals that are ignored, as under nohup, or already handled are left alone.
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
