"""Importing needs nothing: no third-party package, no library, no cache."""

from __future__ import annotations

import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest

import llama_cpp
from llama_cpp.errors import LlamaDecodeError
from llama_cpp.usage import Usage
from tests.support.python import ROOT, bare, run_command

pytestmark = pytest.mark.quick


def test_raw_imports_without_packages_or_library(tmp_path: Path) -> None:
    done = bare(
        "from llama_cpp import _raw; print(_raw.TAG, len(_raw.FUNCTIONS));"
        "assert not [m for m in sys.modules if 'site-packages' in"
        " (getattr(sys.modules[m], '__file__', None) or '')]",
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0].startswith("b")


def test_every_public_name_imports_without_packages_or_library(tmp_path: Path) -> None:
    done = bare(
        "import llama_cpp; [getattr(llama_cpp, name) for name in llama_cpp.__all__];"
        "from llama_cpp import *; print(LlamaModel.__name__, LlamaSampler.__name__)",
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "LlamaModel LlamaSampler\n", "")
    assert not list(tmp_path.iterdir()), "importing wrote into the cache"


def test_without_an_engine_the_first_use_says_how_to_get_one(tmp_path: Path) -> None:
    done = bare(
        "import llama_cpp\n"
        "try: llama_cpp.LlamaLibrary()\n"
        "except llama_cpp.errors.LlamaLibraryError as error: print(error)",
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "make engine" in done.stdout
    assert "LLAMA_CPP_LIB" in done.stdout


def test_import_of_the_package_loads_its_table_of_contents_alone(tmp_path: Path) -> None:
    done = bare(
        "import llama_cpp; print([m for m in sys.modules if m.startswith('llama_cpp.')])", tmp_path
    )
    assert done.stdout == "['llama_cpp._lazy']\n"


def test_llama_loads_nothing_that_few_programs_need(tmp_path: Path) -> None:
    rare = {"hashlib", "logging", "socket", "subprocess", "tempfile", "llama_cpp.model.hub"}
    rare |= {
        "ast",
        "dataclasses",
        "inspect",
        "ipaddress",
        "json",
        "pathlib",
        "shlex",
        "urllib.parse",
    }
    later = ("_raw", "context.context", "generate.batching", "generate.options", "model.model")
    rare |= {f"llama_cpp.{name}" for name in later}
    code = f"import sys, llama_cpp; llama_cpp.Llama; print({rare} & sys.modules.keys())"
    done = bare(code, tmp_path)
    assert done.stdout == "set()\n", done.stderr


def test_what_the_c_api_has_is_made_on_first_use(tmp_path: Path) -> None:
    done = bare(
        "from llama_cpp import _raw\n"
        "names = {'ggml_type', 'GGML_TYPE_F16', 'llama_decode'}\n"
        "print(names & vars(_raw).keys(), names <= {*dir(_raw)}, _raw.GGML_TYPE_F16 == 1)\n"
        "print('ggml_type' in vars(_raw), _raw.llama_decode is _raw.FUNCTIONS['llama_decode'])\n"
        "from llama_cpp._raw import *\n"
        "print(llama_decode in HEADERS['llama.h'], LLAMA_FTYPE_ALL_F32)",
        tmp_path,
    )
    assert done.stdout == "set() True True\nTrue True\nTrue 0\n", done.stderr


_RECORDS = """
import pickle, sys
from llama_cpp.errors import LlamaDecodeError, LlamaMissingFunctionError
from llama_cpp.generate.logprobs import Score, TokenLogprob
from llama_cpp.usage import Usage
"""


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        ("Usage(1, 2, 3) == Usage(1, 2, 3), {Usage(1, 2, 3)}", "True {Usage(prompt_tokens=1, "
         "cached_tokens=2, completion_tokens=3, drafted_tokens=0, accepted_tokens=0)}"),
        ("TokenLogprob(1, 'a', [2], 0.5)",
         "TokenLogprob(token=1, text='a', bytes=[2], logprob=0.5, top=[])"),
        ("repr(LlamaDecodeError('x', code=3)), LlamaMissingFunctionError('y').message",
         "LlamaDecodeError('x') y"),
        ("[f.name for f in __import__('dataclasses').fields(Score)]",
         "['logprob', 'greedy', 'tokens']"),
        (f"pickle.loads({pickle.dumps(Usage(1, 2, 3))}).drafted_tokens", "0"),
        (f"pickle.loads({pickle.dumps(Usage(1, 2, 3))}) == Usage(1, 2, 3)", "True"),
        (f"pickle.loads({pickle.dumps(LlamaDecodeError('x', code=3))}).code", "3"),
        ("[setattr(Usage(1, 2, 3), 'prompt_tokens', 1)]", "FrozenInstanceError"),
        ("Usage(1)", "missing 2 required positional arguments"),
        ("LlamaDecodeError('x')", "missing 1 required keyword-only argument: 'code'"),
    ],
)  # fmt: skip
def test_dataclasses_are_made_on_first_use_as_they_always_were(
    first: str, shown: str, tmp_path: Path
) -> None:
    code = f"{_RECORDS}\nassert 'dataclasses' not in sys.modules\nprint({first})"
    done = bare(code, tmp_path)
    assert shown in (done.stderr if done.returncode else done.stdout)


_AT_ONCE = """
import dataclasses, threading, time
from llama_cpp._dataclasses import dataclass

@dataclass(frozen=True)
class Found:
    x: int

made, found = dataclasses.dataclass, []
other = threading.Thread(target=lambda: found.append(Found(1)))

def slow(**settings):
    def finish(cls):
        if other.ident is None:
            other.start()
        time.sleep(0.2)
        return made(**settings)(cls)
    return finish

dataclasses.dataclass = slow
found.append(Found(2))
other.join()
print(sorted(one.x for one in found))
"""


def test_two_threads_may_make_the_first_objects_of_a_dataclass(tmp_path: Path) -> None:
    done = bare(_AT_ONCE, tmp_path)
    assert done.stdout == "[1, 2]\n", done.stderr


def test_an_agent_loads_its_own_layers_alone(tmp_path: Path) -> None:
    done = bare(
        "import llama_cpp.agent.agent\n"
        "for name, module in sys.modules.items():\n"
        "    if name.startswith('llama_cpp.') and not hasattr(module, '__path__'): print(name)",
        tmp_path,
    )
    loaded = done.stdout.split()
    assert "llama_cpp.server.client" in loaded
    layers = {"agent", "server", "native", "errors", "usage"}
    layers |= {"_dataclasses", "_display", "_lazy", "_needs"}
    assert {name.split(".")[1] for name in loaded} <= layers
    native = {name for name in loaded if name.startswith("llama_cpp.native.")}
    assert native <= {
        f"llama_cpp.native.{name}"
        for name in ("arguments", "fork", "interrupt", "locks", "peers", "resource")
    }
    assert len(loaded) <= 29, loaded


@pytest.mark.parametrize("last", ["ours", "theirs"])
def test_files_of_the_other_package_of_this_name_are_refused(tmp_path: Path, last: str) -> None:
    """This package and llama-cpp-python were installed into one folder."""
    package = tmp_path / "llama_cpp"
    for name in ("__init__.py", "_lazy.py", "llama_cpp/__init__.py"):
        (package / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "llama_cpp" / name, package / name)
    command = [sys.executable, "-c", "import llama_cpp"]
    for mixed in (False, True):
        if mixed:
            (package / "llama_cpp.py").touch()
        if mixed and last == "theirs":
            (package / "__init__.py").write_text("from .llama_cpp import *\n")
        done = run_command(*command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
        assert bool(done.returncode) is mixed, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: llama-py and llama-cpp-python are both installed in ")
    assert str(package) in error
    assert "pip uninstall -y llama-cpp-python libllama-py" in error


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import llama_cpp.llama_cpp", "ImportError: llama_cpp.llama_cpp is a module of llama-cpp"),
        ("llama_cpp.llama_vocab_p", "AttributeError: .* as in llama_cpp._raw.llama_vocab_p$"),
        ("llama_cpp.LlamaGrammar", "AttributeError: module 'llama_cpp' has no attribute"),
        ("Llama(model_path='m')", r"TypeError: Llama\(\) needs .*; model_path=... is the first"),
        ("AsyncLlama()", r"TypeError: AsyncLlama\(\) needs a model: .* a LlamaModel$"),
        ("Llama.__new__(Llama).create_chat_completion", "AttributeError: .* is Llama.chat here"),
        ("Llama.__new__(Llama).no_such", "AttributeError: 'Llama' object .* 'no_such'$"),
    ],
)
def test_a_name_of_the_other_package_leads_to_ours(code: str, error: str, tmp_path: Path) -> None:
    start = "import llama_cpp; from llama_cpp import AsyncLlama, Llama; "
    done = bare(start + code, tmp_path)
    assert re.match(error, done.stderr.splitlines()[-1])


def test_all_is_sorted_and_complete() -> None:
    assert llama_cpp.__all__ == sorted(llama_cpp.__all__)
    assert [name for name in llama_cpp.__all__ if not hasattr(llama_cpp, name)] == []
    assert set(llama_cpp.__all__) <= set(dir(llama_cpp))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(llama_cpp, "LlamaModle")


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    done = bare(
        "import llama_cpp\n"
        "try: llama_cpp.LlamaClient()\n"
        "except ModuleNotFoundError as error: print(error)",
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "LlamaClient needs requests: pip install 'libllama-py[agent]'\n",
    )
