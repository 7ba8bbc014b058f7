"""Quantizing a model file.

A separate Python process does the work. So it can be stopped at once, which the library does not
allow; an abort (a type that does not fit a tensor's shape, a missing importance matrix) is an
error here; and its memory is freed.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _raw
from .._params import KEYWORDS
from ..engine.machine import usable_cores
from ..errors import LlamaCancelled, LlamaModelError
from ..native import child as _child
from ..native import log
from ..native.arguments import c_number, check_callable
from ..native.library import LlamaLibrary
from . import params as _params
from .gguf import GGUFFile, check_parts, file_name, parts, written

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._params import LlamaModelQuantizeParams

_EXTRA = ("library", "progress", "imatrix", "kv_overrides", "tensor_types", "prune_layers")
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\] ")
_LAYERS = 4096


def quantize(  # type: ignore[misc]  # ftype is a field of the struct, too
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    ftype: _raw.llama_ftype | str = "Q4_K_M",
    *,
    library: LlamaLibrary | None = None,
    progress: Callable[[float], object] | None = None,
    imatrix: str | os.PathLike[str] | None = None,
    kv_overrides: Mapping[str, bool | int | float | str] | None = None,
    tensor_types: Mapping[str, _raw.ggml_type | str] | None = None,
    prune_layers: Sequence[int] | None = None,
    **params: Unpack[LlamaModelQuantizeParams],  # pyright: ignore[reportGeneralTypeIssues]
) -> list[Path]:
    """Write the model in the GGUF file ``source``, in a smaller type, to ``target``.

    ``ftype`` is a mixture of types by name, ``Q4_K_M``, or as an enum's member. ``progress`` is
    called with the part that is done, 0.0 to 1.0; returning False stops it, as Ctrl-C does, and
    nothing is left behind. ``imatrix`` is an importance matrix in a GGUF file, as
    ``llama-imatrix`` writes it. ``kv_overrides`` changes metadata. ``tensor_types`` is a regular
    expression to find in the names of tensors -> type; the first that is found counts.
    ``prune_layers`` leaves layers out. The other keywords are the fields of
    ``llama_model_quantize_params`` under their C names, with types also by name
    (``output_tensor_type="Q8_0"``); ``nthread`` is by default the cores that the process may use.

    ``target`` appears only when it is complete. With ``keep_split`` it is the prefix of the files'
    names. Returns the written files: none for ``dry_run``.

    Raises FileNotFoundError, LlamaModelError when the library cannot do it or the disk is full,
    LlamaCancelled, TypeError and ValueError for wrong keywords. C: ``llama_model_quantize``.
    """
    library = LlamaLibrary.chosen(library)
    check_callable(progress, "progress")
    source, target = Path(source), Path(target)
    named = _named(_raw.llama_ftype, ftype, "ftype")
    job: dict[str, Any] = {
        "library": str(library.path),
        "source": str(source),
        "params": _plain_params({"nthread": usable_cores(), **params, "ftype": named}),
        "imatrix": None if imatrix is None else str(Path(imatrix)),
        "kv_overrides": dict(kv_overrides or {}),
        "tensor_types": _tensor_types(tensor_types or {}),
        "prune_layers": [c_number(ctypes.c_int32, n, "prune_layers") for n in prune_layers or ()],
    }
    _params.kv_overrides(job["kv_overrides"])
    if any(not 0 <= n < _LAYERS for n in job["prune_layers"]):
        raise ValueError(f"prune_layers must be layers, from 0 on: {prune_layers}")
    files = parts(library, source)
    check_parts(library, files)
    with written(target, [*files, *([Path(imatrix)] if imatrix else [])]) as temporary:
        job["target"] = str(temporary)
        _run(job, progress)
        made = sorted(temporary.parent.iterdir())
        for file in made:
            GGUFFile(library, file).check_whole()
        if not made and not params.get("dry_run"):
            raise LlamaModelError(f"{target} was not written")
    return [target.with_name(file.name) for file in made]


def _plain_params(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords as numbers, checked."""
    kinds = KEYWORDS["llama_model_quantize_params"]
    types = [name for name, kind in kinds.items() if kind == "ggml_type"]
    plain = {n: _named(_raw.ggml_type, v, n) if n in types else v for n, v in given.items()}
    struct = _raw.llama_model_quantize_params()
    _params.set_params(struct, plain, "quantize", _EXTRA)
    return {name: getattr(struct, name) for name in plain}


def _named(kind: type[IntEnum], value: Any, name: str) -> int:
    """A member of ``kind``, also by its name without the enum's."""
    if not isinstance(value, str):
        return int(c_number(kind, value, name))
    prefix = re.compile("GGML_TYPE_|LLAMA_FTYPE_(MOSTLY|ALL)_")
    names = {prefix.sub("", m.name): m for m in kind if m != _raw.LLAMA_FTYPE_GUESSED}
    if value.upper() not in names:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(names)}")
    return int(names[value.upper()])


def _tensor_types(values: Mapping[str, _raw.ggml_type | str]) -> list[tuple[str, int]]:
    if not isinstance(values, Mapping):
        raise TypeError(f"tensor_types must be a mapping of regex to type, not {values!r}")
    for pattern in values:
        _params.c_pattern(pattern)
    return [(p, _named(_raw.ggml_type, t, "tensor_types")) for p, t in values.items()]


# -- this process


def _run(job: Mapping[str, Any], progress: Callable[[float], object] | None) -> None:
    """Run the other process, and watch it."""
    python = _child.interpreter()
    if python is None:
        raise LlamaModelError("quantizing needs a Python interpreter to start: there is none")
    error: str | None = ""
    with _child.start(python, __name__, job) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kind, value = json.loads(line)
                if kind == "log":
                    log.show(value[0], value[1])
                elif kind == "end":
                    error = value
                elif progress is not None and progress(value) is False:
                    raise LlamaCancelled(f"quantizing {job['source']} was stopped by progress")
        except BaseException:
            process.kill()
            raise
    if error is not None:
        reason = error or f"the process that does it ended: {_child.ended(process)}"
        if "requantizing" in reason:
            reason += ": take a file that is not quantized, or allow_requantize, which loses more"
        raise LlamaModelError(f"{job['source']} could not be quantized: {reason}")


# -- the other process


def main() -> None:
    """Do the job on the first line of stdin, and report on stdout."""
    job = _child.receive()
    library = LlamaLibrary(job["library"])
    said: list[str] = []
    line = ""

    def hear(level: int, text: bytes | None, _: int | None) -> None:
        nonlocal line
        chunk = (text or b"").decode("utf-8", "replace")
        match = _TENSOR.match(chunk)
        if match:
            _child.tell("done", (int(match[1]) - 1) / int(match[2]))
        line += chunk
        if line.endswith("\n"):
            whole, line = line.strip(), ""
            at = log.LEVELS.get(level, log.INFO)
            if whole and at >= log.ERROR:
                said.append(whole)
            if whole:
                _child.tell("log", [at, whole])

    def aborting(message: bytes | None) -> None:
        text = (message or b"").decode("utf-8", "replace").strip().rpartition("/")[2]
        _child.tell("end", f"the library cannot do this: {text}")
        os._exit(1)

    callback, on_abort = _raw.ggml_log_callback(hear), _raw.ggml_abort_callback_t(aborting)
    library.llama_log_set(callback, None)
    if library.has("ggml_set_abort_callback"):
        library.ggml_set_abort_callback(on_abort)
    try:
        code = _call(library, job)
    except Exception as error:
        _child.tell("end", str(error))
        os._exit(1)
    if code:
        reason = log.reason(said[-1:], "the library does not say why").rpartition(": failed to ")[2]
        if "iostream" in reason:
            reason = "writing failed; the disk may be full"
        _child.tell("end", reason)
    else:
        _child.tell("done", 1.0)
        _child.tell("end", None)
    os._exit(0)


def _call(library: LlamaLibrary, job: Mapping[str, Any]) -> int:
    raw = library.llama_model_quantize_default_params()
    for name, value in job["params"].items():
        setattr(raw, name, value)
    if job["kv_overrides"]:
        raw.kv_overrides = _params.kv_overrides(job["kv_overrides"])
    if job["prune_layers"]:
        layers = sorted(set(job["prune_layers"]))
        raw.prune_layers = (ctypes.c_int32 * (len(layers) + 1))(*layers, -1)
    if job["tensor_types"]:
        patterns = (_raw.llama_model_tensor_override * (len(job["tensor_types"]) + 1))()
        for entry, (pattern, type_) in zip(patterns, job["tensor_types"], strict=False):
            entry.pattern, entry.type = pattern.encode(), type_
        raw.tt_overrides = patterns
    if job["imatrix"] is not None:
        raw.imatrix = _imatrix(library, Path(job["imatrix"]))
    source, target = file_name(Path(job["source"])), file_name(Path(job["target"]))
    return int(library.llama_model_quantize(source, target, raw))


def _imatrix(library: LlamaLibrary, path: Path) -> ctypes.Array[Any]:
    """An importance matrix in C's form: for each tensor the mean square of its inputs."""
    file = GGUFFile(library, path)
    file.check_whole()
    tensors = file.tensors()
    found: list[tuple[bytes, array[float]]] = []
    with path.open("rb") as stream:

        def floats(name: str) -> array[float]:
            tensor = tensors[name]
            if tensor.type != _raw.ggml_type.GGML_TYPE_F32:
                raise LlamaModelError(f"{path}: {name} has no 32-bit floats")
            stream.seek(tensor.offset)
            return array("f", stream.read(tensor.size))

        for name in tensors:
            stem = name.removesuffix(".in_sum2")
            if stem == name or f"{stem}.counts" not in tensors:
                continue
            sums, counts = floats(name), floats(f"{stem}.counts")
            each = len(sums) // max(len(counts), 1)
            values = array("f")
            for i, count in enumerate(counts):
                part = sums[i * each : (i + 1) * each]
                values.extend(x / count for x in part) if count > 0 else values.extend([1.0] * each)
            if not all(map(math.isfinite, values)):
                raise LlamaModelError(f"{path}: {stem} has numbers that are not finite")
            found.append((stem.encode(), values))
    if not found:
        raise LlamaModelError(f"{path} is not an importance matrix: it has no tensors *.in_sum2")
    entries = (_raw.llama_model_imatrix_data * (len(found) + 1))()
    for entry, (key, values) in zip(entries, found, strict=False):
        entry.name, entry.size = key, len(values)
        entry.data = (ctypes.c_float * len(values)).from_buffer(values)
    return entries
