"""The cost of spreading a model over ggml-rpc-servers: all of them on this machine."""

from __future__ import annotations

import contextlib

from llama_cpp import Llama, LlamaModel, LlamaRpcServer
from llama_cpp.errors import LlamaEngineError

from .build import CannotMeasure
from .measure import Spread, interleaved
from .place import Place
from .report import Row, Table

_PROMPT = "one and two and three and four and " * 32
_TEXT = 32  # tokens
_MOST = 3  # servers


class _OnServers:
    """A contender: a model on ``n`` servers, or with 0 in this process."""

    def __init__(self, place: Place, n: int) -> None:
        self._place = place
        self._n = n
        self._open = contextlib.ExitStack()
        self.tokens: list[int] = []
        """The generated tokens."""
        self.prompt: list[float] = []
        """Seconds a token of the prompt, for each measure."""

    def start(self) -> None:
        threads = self._place.threads
        try:
            servers = [
                self._open.enter_context(LlamaRpcServer(n_threads=threads)) for _ in range(self._n)
            ]
        except LlamaEngineError as error:
            raise CannotMeasure(str(error)) from error
        loaded = LlamaModel.from_file(
            self._place.model, rpc_servers=[server.endpoint for server in servers]
        )
        model = self._open.enter_context(loaded)
        self._llm = self._open.enter_context(
            Llama(model, n_ctx=512, n_threads=threads, n_threads_batch=threads)
        )
        self._measure()

    def measure(self) -> float:
        prompt, generation = self._measure()
        self.prompt.append(prompt)
        return generation

    def _measure(self) -> tuple[float, float]:
        done = self._llm.complete(_PROMPT, max_tokens=_TEXT, temperature=0, cache_prompt=False)
        self.tokens = done.tokens
        return (
            done.timings.prompt_seconds / done.usage.prompt_tokens,
            1 / done.timings.tokens_per_second,
        )

    def stop(self) -> None:
        self._open.close()


def rpc(place: Place) -> Table:
    """Tokens a second on one to three servers, and whether they are those of this process."""
    contenders = {_name(n): _OnServers(place, n) for n in range(_MOST + 1)}
    local = contenders[_name(0)]
    found = interleaved(contenders, place.rounds)
    table = Table(f"over ggml-rpc-servers on loopback, {place.model.stem}, tokens a second")
    for title, times in (
        ("prompt", {name: one.prompt for name, one in contenders.items()}),
        ("generation", found),
    ):
        for name, one in contenders.items():
            speeds = [1 / seconds for seconds in times[name]]
            # Not of the same round: slow contenders are not measured in each.
            share = Spread.of(times[_name(0)]).median / Spread.of(times[name]).median
            tokens = "same tokens" if one.tokens == local.tokens else "OTHER TOKENS"
            note = "" if one is local else f"{share:.2f} of the local, {tokens}"
            table.rows.append(Row(f"{title}, {name}", Spread.of(speeds), "/s", note))
    return table


def _name(n: int) -> str:
    return f"{n} server{'s' * (n > 1)}" if n else "local"
