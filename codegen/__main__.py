"""``python -m codegen``: fetch, regen, check, verify, diff.

Exit codes: 0 done, 1 the check failed, 2 wrong usage or input (one line on stderr).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import diff, generate, source, verify
from .api import Api, load
from .errors import CodegenError
from .render import API_JSON


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m codegen",
        description="Generates the Python bindings from llama.cpp's headers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    tree = argparse.ArgumentParser(add_help=False)
    where = tree.add_mutually_exclusive_group()
    where.add_argument("--llama-cpp", metavar="DIR", help="a llama.cpp tree")
    where.add_argument("--tag", metavar="bNNNN", help="a tag of llama.cpp, fetched if need be")

    command = commands.add_parser("regen", parents=[tree], help="write the generated files")
    command.add_argument("--out", metavar="DIR", type=Path, help="there instead of the project")
    command.set_defaults(run=_regen)

    command = commands.add_parser(
        "check", parents=[tree], help="exit 1 with a diff if a generated file is stale"
    )
    command.add_argument(
        "--offline",
        action="store_true",
        help="from codegen/api.json, without a tree: finds all but a changed header",
    )
    command.set_defaults(run=_check)

    command = commands.add_parser(
        "verify", parents=[tree], help="ask the C compiler, ctypes and the library"
    )
    command.add_argument("--lib", metavar="FILE", type=Path, help="a built libllama")
    command.add_argument(
        "--without", action="append", default=[], choices=verify.WITNESSES, help="leave one out"
    )
    command.add_argument(
        "--raw", metavar="FILE", type=Path, help="another _raw.py than the project's"
    )
    command.set_defaults(run=_verify)

    command = commands.add_parser("diff", help="what changed from one API to another")
    for name in ("old", "new"):
        command.add_argument(name, help="a tag, a llama.cpp tree or an api.json")
    command.add_argument("--format", choices=diff.FORMATS, default="text")
    command.set_defaults(run=_diff)

    command = commands.add_parser("fetch", help="print the path of a tag's tree")
    command.add_argument("--tag", metavar="bNNNN", default=None, help="default: the pin")
    command.set_defaults(run=_fetch)

    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except CodegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Who reads our output has seen enough. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _regen(options: argparse.Namespace) -> int:
    tree = source.resolve(options.llama_cpp, options.tag)
    api = generate.read_api(tree)
    before = load(API_JSON) if API_JSON.is_file() else None
    changed = generate.write(api, options.out)
    for path in changed:
        print(f"wrote {os.path.relpath(path)}")
    if not changed:
        print(f"nothing to do: the files are those of {api.tag}")
    if options.out is None:
        if options.tag and options.tag != source.pinned_tag():
            source.move_pin(options.tag)
            print(f"the pin is now {options.tag}")
        if before is not None and before.tag != api.tag:
            print(diff.report(diff.compare(before, api), "text"), end="")
    return 0


def _check(options: argparse.Namespace) -> int:
    if options.offline:
        api = load(API_JSON)
    else:
        api = generate.read_api(source.resolve(options.llama_cpp, options.tag))
    text = generate.stale(api)
    if text:
        print(text, end="")
        print(
            f"stale: the generated files are not what {api.tag} gives; run make regen",
            file=sys.stderr,
        )
        return 1
    print(f"up to date with {api.tag}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    tree = source.resolve(options.llama_cpp, options.tag)
    api = generate.read_api(tree)
    reports = []
    if "compiler" not in options.without:
        reports.append(verify.by_compiler(api, tree.unit))
    if "ctypes" not in options.without:
        raw = options.raw or source.PROJECT / "llama_cpp" / "_raw.py"
        reports.append(verify.by_ctypes(api, verify.import_raw(raw)))
    if options.lib is not None and "library" not in options.without:
        reports.append(verify.by_library(api, options.lib))
    for report in reports:
        print(report)
    return 1 if any(report.faults for report in reports) else 0


def _diff(options: argparse.Namespace) -> int:
    changes = diff.compare(_api(options.old), _api(options.new))
    print(diff.report(changes, options.format), end="")
    return 0


def _api(name: str) -> Api:
    """The API that a word on the command line stands for."""
    path = Path(name)
    if path.is_file():
        try:
            return load(path)
        except (ValueError, KeyError, TypeError) as error:
            raise CodegenError(f"{path} is not an api.json: {error}") from error
    if path.is_dir():
        return generate.read_api(source.resolve(folder=name))
    return generate.read_api(source.resolve(tag=name))


def _fetch(options: argparse.Namespace) -> int:
    print(source.fetch(options.tag or source.pinned_tag()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
