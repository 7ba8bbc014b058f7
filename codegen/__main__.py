"""``python -m codegen``: fetch, regen, check, verify, diff, history, latest, lag, seals.

Exit codes: 0 done, 1 the check failed, 2 wrong usage or input (one line on stderr).

A command's modules are imported when it runs: `seals`, and `diff` of two api.json files, need only
the standard library.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from pathlib import Path

from . import diff, seal
from .api import Api, load
from .errors import CodegenError

WITNESSES = ("compiler", "ctypes", "calls", "library")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m codegen",
        description="Generates the Python bindings from llama.cpp's headers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    tree = argparse.ArgumentParser(add_help=False)
    where = tree.add_mutually_exclusive_group()
    where.add_argument("--llama-cpp", metavar="DIR", help="a llama.cpp tree")
    where.add_argument("--tag", metavar="bNNNN", help="a tag of llama.cpp, fetched if needed")

    command = commands.add_parser("regen", parents=[tree], help="write the generated files")
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="write there instead of the project"
    )
    of_ones_own = "your own sets of bindings, for the tree that --llama-cpp names"
    command.add_argument("--bindings", metavar="FILE", type=Path, help=of_ones_own)
    command.set_defaults(run=_regen)

    command = commands.add_parser(
        "bindings", parents=[tree], help="write the package, with bindings for a tree, to a folder"
    )
    command.add_argument("--out", metavar="DIR", type=Path, required=True)
    command.set_defaults(run=_bindings)

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
    command.add_argument("--bindings", metavar="FILE", type=Path, help=of_ones_own)
    command.add_argument(
        "--without", action="append", default=[], choices=WITNESSES, help="leave one out"
    )
    command.add_argument(
        "--raw",
        metavar="FILE",
        type=Path,
        help="another _raw.py than the project's, with the other modules next to it",
    )
    command.set_defaults(run=_verify)

    command = commands.add_parser("diff", help="the changes from one API to another")
    for name in ("old", "new"):
        command.add_argument(name, help="a tag, a llama.cpp tree or an api.json")
    command.add_argument("--format", choices=diff.FORMATS, default="text")
    command.set_defaults(run=_diff)

    command = commands.add_parser("fetch", help="print the path of a tag's tree")
    text = "default: the tree that the bindings were made from"
    command.add_argument("--tag", metavar="bNNNN", default=None, help=text)
    command.set_defaults(run=_fetch)

    command = commands.add_parser(
        "history",
        help="generate and verify the bindings of many tags, without touching the project",
    )
    command.add_argument("--tags", metavar="bNNNN", nargs="+", help="these ones")
    command.add_argument(
        "--count", metavar="N", type=int, default=16, help="or N of all tags (default: 16)"
    )
    command.set_defaults(run=_history)

    command = commands.add_parser("latest", help="print the newest available tag")
    command.set_defaults(run=_latest)

    command = commands.add_parser(
        "lag", help="how far the pin is behind; exit 1 beyond a limit, or without news"
    )
    for name, limit, about in (
        ("tags", 200, "newer tags"),
        ("days", 14, "days from the pin to the newest tag"),
        ("age", 14, "days since any source had a newer tag"),
    ):
        text = f"the limit of {about} (default: {limit})"
        command.add_argument(f"--max-{name}", metavar="N", type=int, default=limit, help=text)
    command.set_defaults(run=_lag)

    command = commands.add_parser("seals", help="exit 1 if a generated file was edited by hand")
    command.set_defaults(run=_seals)

    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except CodegenError as error:
        return _fail(str(error))
    except (RecursionError, ctypes.ArgumentError):  # the second inside libclang's callback
        return _fail("something in the headers is nested too deeply")
    except ModuleNotFoundError as error:
        return _fail(f"{error}: the generator needs pip install 'libllama-py[codegen]'")
    except BrokenPipeError:
        # The reader closed the pipe. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _fail(text: str) -> int:
    """Print the error on one line, also if a header or a file's name has control characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    return 2


def _regen(options: argparse.Namespace) -> int:
    from . import generate, source
    from .server import model as server_model

    if options.bindings:
        return _regen_own(options)
    tree = source.resolve(options.llama_cpp, options.tag)
    # True if the project's pin moves: to another tag or commit, not to a user's folder.
    steps = options.out is None and tree.pinnable and tree.tag != source.pinned_tag()
    # A new pin must have every header and source that the project uses.
    apis = generate.read_apis(tree, whole=steps)
    modules = [api.module for api in apis]
    before = [api for api in generate.committed_apis() if api.module in modules]
    for api in apis:
        print(_counted(api))
    if apis[0].server is not None:
        fields, names, routes = server_model.counts(apis[0].server)
        print(f"llama-server: {fields} fields, {names} options, {routes} routes")
    files = generate.planned(apis, options.out)
    faults = generate.unusable(apis, None if options.out else files)
    if faults:
        raise CodegenError(f"nothing was written: {'; '.join(faults[:5])}")
    differs = options.out is None and before and before[0].tag != apis[0].tag
    changes = diff.compare_all(before, apis) if differs else None
    if steps:
        files[source.UPSTREAM] = source.moved_pin(tree)
        if changes:
            changelog = source.PROJECT / "CHANGELOG.md"
            files[changelog] = diff.recorded(changes, changelog)
    changed = generate.write(files)
    for path in changed:
        print(f"{'wrote' if path.exists() else 'removed'} {os.path.relpath(path)}")
    if not changed:
        print(f"nothing to do: the files are those of {apis[0].tag}")
    if options.out is None:
        source.keep(tree, apis[0].tag)
    if steps:
        print(f"the pin is now {tree.tag}")
    if changes:
        print(diff.report(changes, "text"), end="")
    return 0


def _bindings(options: argparse.Namespace) -> int:
    from . import generate, source

    tree = source.resolve(options.llama_cpp, options.tag)
    apis = generate.read_apis(tree)
    folder = generate.publish(apis, options.out).parent.resolve()
    names = ", ".join(f"{len(api.functions)} functions in {api.module}" for api in apis)
    print(f"bindings for llama.cpp {apis[0].tag} are in {folder}: {names}")
    found = (tree.root / name for name in ("build/bin", "lib", "bin"))
    lib = next((path for path in found if path.is_dir()), "FOLDER-WITH-LIBLLAMA")
    print(f"to use them: PYTHONPATH={folder} LLAMA_CPP_LIB={lib} python your_program.py")
    return 0


def _counted(api: Api) -> str:
    constants = len(api.macros) + sum(len(e.constants) for e in api.enums)
    return (
        f"{api.module}: {len(api.functions)} functions, {len(api.structs)} structs and "
        f"handles, {constants} constants of llama.cpp {api.tag}"
    )


def _regen_own(options: argparse.Namespace) -> int:
    """Write the modules of a user's own sets of bindings."""
    from . import generate, source

    if not options.llama_cpp or not options.out:
        raise CodegenError("--bindings needs the tree (--llama-cpp DIR) and --out DIR")
    apis = generate.read_own(source.folder(options.llama_cpp), source.bindings(options.bindings))
    for api in apis:
        print(_counted(api).replace("llama.cpp ", ""))
        for o in api.omissions:
            if "macro" not in o.reason:
                print(f"  left out {o.name} ({o.place}): {o.reason}")
    for path in generate.write(generate.planned_own(apis, options.out)):
        print(f"wrote {os.path.relpath(path)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from . import generate, source

    if options.offline:
        apis = generate.committed_apis()
    else:
        apis = generate.read_apis(source.resolve(options.llama_cpp, options.tag))
    tag = apis[0].tag
    files = generate.planned(apis)
    text = generate.stale(files)
    if text:
        print(text, end="")
        print(
            f"stale: the generated files do not match {tag}; run make regen",
            file=sys.stderr,
        )
        return 1
    faults = generate.unusable(apis, files)
    for fault in faults:
        print(f"wrong: {fault}", file=sys.stderr)
    if not faults:
        print(f"up to date with {tag}")
    return 1 if faults else 0


def _verify(options: argparse.Namespace) -> int:
    from . import calls, generate, source, verify
    from .server import witness

    sets = source.bindings(options.bindings)
    if options.bindings:
        if not options.llama_cpp or not options.raw:
            raise CodegenError("--bindings needs the tree (--llama-cpp DIR) and --raw FILE")
        tree = source.folder(options.llama_cpp)
        apis = generate.read_own(tree, sets)
    else:
        tree = source.resolve(options.llama_cpp, options.tag)
        apis = generate.read_apis(tree)
    units = {binding.module: tree.unit_of(binding) for binding in sets}
    raw = options.raw or source.PROJECT / "llama_cpp" / "_raw.py"
    right = True
    for api in apis:
        unit = units[api.module]
        first = api.base is None and not options.bindings
        module = raw if first else raw.with_name(f"{api.module}.py")
        print(f"{api.module} for lib{api.library}")
        if options.raw and not module.is_file():
            print(f"  not verified: there is no {module.name} beside {raw.name}")
            continue
        reports = []
        if "compiler" not in options.without:
            reports.append(verify.by_compiler(api, unit))
        if "ctypes" not in options.without:
            reports.append(verify.by_ctypes(api, verify.import_raw(module)))
        if "calls" not in options.without:
            reports.append(calls.by_calls(api, unit, module))
        if options.lib is not None and "library" not in options.without:
            reports.append(verify.by_library(api, options.lib))
            program = options.lib.with_name("llama-server")
            if api.server is not None and program.is_file():
                reports += [
                    witness.by_help(api.server, witness.help_of(program)),
                    witness.by_start(api.server, program),
                ]
                for name, known in api.server.programs.items():
                    help_text = witness.help_of(program.with_name(name))
                    reports.append(witness.by_usage(name, known, help_text))
        for report in reports:
            print(report)
        right = right and not any(report.faults for report in reports)
    return 0 if right else 1


def _diff(options: argparse.Namespace) -> int:
    old, new = _apis(options.old), _apis(options.new)
    if Path(options.old).is_file() or Path(options.new).is_file():
        # A file has one set of bindings only, so only that set is compared.
        modules = {api.module for api in old} & {api.module for api in new}
        if not modules:
            raise CodegenError(f"{options.old} and {options.new} are for different modules")
        old, new = ([a for a in apis if a.module in modules] for apis in (old, new))
    print(diff.report(diff.compare_all(old, new), options.format), end="")
    return 0


def _apis(name: str) -> list[Api]:
    """The APIs of a tag, a tree or a file on the command line."""
    path = Path(name)
    if path.is_file():
        try:
            return [load(path)]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise CodegenError(f"{path} is not an api.json: {error}") from error
    from . import generate, source

    if path.is_dir():
        return generate.read_apis(source.resolve(folder=name))
    return generate.read_apis(source.resolve(tag=name))


def _fetch(options: argparse.Namespace) -> int:
    from . import generate, source

    if options.tag:
        print(source.fetch(options.tag))
    else:
        made = generate.committed_apis()
        print(source.made_from(made[0].tag if made else source.pinned_tag()))
    return 0


def _history(options: argparse.Namespace) -> int:
    from . import history, origins, source

    # The repository has ten times as many, back to the days when there was no llama.h.
    tags = options.tags or history.spread(source.tags(origins.Index), options.count)
    return 0 if history.run(tags, print) else 1


def _latest(options: argparse.Namespace) -> int:
    from . import source

    print(source.newest())
    return 0


def _lag(options: argparse.Namespace) -> int:
    from datetime import datetime, timezone

    from . import lag

    found = lag.ask()
    limits = lag.Limits(options.max_tags, options.max_days, options.max_age)
    text, faults = lag.summary(found, limits, datetime.now(timezone.utc))
    print(lag.table(found), text, sep="\n")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _seals(options: argparse.Namespace) -> int:
    faults = seal.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
