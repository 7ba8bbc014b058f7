"""Rows of a Ray dataset through a model, with one engine in each actor. It needs the extra ``ray``.

import ray
from llama_cpp.ray import LlamaPredictor

answered = ray.data.read_parquet("prompts.parquet").map_batches(
    LlamaPredictor,
    fn_constructor_args=["hf:owner/repo:Q4_K_M"],
    fn_constructor_kwargs={"options": {"max_tokens": 64}, "n_seq_max": 8},
    batch_size=64,
    num_cpus=4,
    compute=ray.data.ActorPoolStrategy(size=8),
)
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from ._needs import needs
from .errors import LlamaClosedError
from .generate import Llama
from .native.peers import unknown_keyword

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .generate.llama import LlamaParams

_numpy = needs("numpy", "llama_cpp.ray", extra="ray")

Task = Literal["complete", "chat", "embed"]
# Task -> the usual names of the columns with the input and the output.
_COLUMNS = {
    "complete": ("prompt", "text"), "chat": ("messages", "text"), "embed": ("text", "embedding")
}  # fmt: skip
_SEQUENCES = 8


class LlamaPredictor:
    """A model for the rows of a dataset: a class for ``ray.data.Dataset.map_batches``.

    Ray makes one in each actor. A node's actors map the same file into memory, so its weights are
    there once, and a model of the hub (``hf:owner/repo:Q4_K_M``) is downloaded once to each node.
    The rows of a batch are computed side by side, as by `Llama.complete_many`: make ``batch_size``
    several times ``n_seq_max``. If a node dies, Ray computes its unfinished rows on the others.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        task: Task = "complete",
        *,
        column: str | None = None,
        output: str | None = None,
        error: str = "error",
        options: Mapping[str, Any] | None = None,
        options_column: str | None = None,
        **params: Unpack[LlamaParams],
    ) -> None:
        """Load ``model``, a path or ``hf:owner/repo:Q4_K_M``.

        ``task`` is ``complete`` (a text or its tokens in the column ``prompt``), ``chat`` (a list
        of messages, or the user's text, in ``messages``) or ``embed`` (``text``); ``column`` names
        another column. The result is in ``output``, by default ``text``, of embeddings
        ``embedding``. ``error`` names the column with the reason where a row has failed, and
        an empty text elsewhere; the result of such a row is an empty text, or NaNs.

        ``options`` are those of `Llama.complete`, `Llama.chat` or `Llama.embed`, such as
        ``max_tokens`` or ``json_schema``. ``options_column`` names a column with further ones of
        each row, as a dict. ``params`` are those of `Llama`; by default ``n_seq_max`` is 8 and
        ``n_threads`` the number of CPUs that the actor has (``num_cpus`` of ``map_batches``).

        Raises ValueError for another task, TypeError for an unknown option, and as `Llama` does.
        """
        if task not in _COLUMNS:
            raise ValueError(f"task={task!r}: use one of {', '.join(_COLUMNS)}")
        known = inspect.signature(getattr(Llama, task)).parameters
        for name in options or {}:
            if name not in known:
                raise unknown_keyword(name, known, task)
        self._task = task
        usual = _COLUMNS[task]
        self._column, self._output, self._error = column or usual[0], output or usual[1], error
        self._options, self._options_column = dict(options or {}), options_column
        settings: dict[str, Any] = {} if task == "embed" else {"n_seq_max": _SEQUENCES}
        cpus = _cpus()
        if cpus:
            settings |= {"n_threads": cpus, "n_threads_batch": cpus}
        settings.update(params)
        self._llm = Llama(model, **settings)
        # Twice as many as run: the next rows wait inside the scheduler, which then joins them.
        self._pool = ThreadPoolExecutor(2 * self._llm.ctx.n_seq_max)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of ``batch``, and those with the results and the errors.

        Raises KeyError for a missing column, and LlamaClosedError if the engine was lost.
        """
        for name in filter(None, (self._column, self._options_column)):
            if name not in batch:
                raise KeyError(f"no column {name!r} among {', '.join(batch)}")
        rows = batch[self._column]
        own = batch[self._options_column] if self._options_column else [None] * len(rows)
        done = self._together(rows) or list(self._pool.map(self._row, rows, own))
        results: Any = [result for result, _ in done]
        if self._task == "embed":
            size = self._llm.model.n_embd_out
            missing = [float("nan")] * size
            rows = [missing if reason else vector for vector, reason in done]
            results = _numpy.array(rows, "float32").reshape(len(rows), size)
        return {**batch, self._output: results, self._error: [reason for _, reason in done]}

    def _together(self, rows: Any) -> list[tuple[Any, str]]:
        """The vectors of all rows by one call, which is faster; none if one of them would fail."""
        if self._task == "embed" and not self._options_column:
            with contextlib.suppress(TypeError, ValueError):
                return [(v, "") for v in self._llm.embed(_plain(list(rows)), **self._options)]
        return []

    def _row(self, row: Any, own: Any) -> tuple[Any, str]:
        """The result, and the reason if there is none."""
        try:
            given, options = _plain(row), {**self._options, **(_plain(own) or {})}
            if self._task == "embed":
                return self._llm.embed([given], **options)[0], ""
            if self._task == "complete":
                return self._llm.complete(given, **options).text, ""
            messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
            return self._llm.chat(messages, **options).text, ""
        except LlamaClosedError:
            raise  # of this row and all after it
        except Exception as error:
            return "", f"{type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    """A cell as Python's own types. Arrow gives all dicts of a column the same keys."""
    if hasattr(value, "tolist"):  # numpy's
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items() if own is not None}
    return [_plain(own) for own in value] if isinstance(value, list) else value


def _cpus() -> int:
    """The number of CPUs that Ray has assigned to this actor; 0 if it does not say."""
    ray = sys.modules.get("ray")  # not imported here: that changes sys.path and the environment
    if ray is None or not ray.is_initialized():
        return 0
    return int(ray.get_runtime_context().get_assigned_resources().get("CPU", 0))
