"""Sampler chains: from logits to the next token."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Mapping, Sequence
from operator import index
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from .. import _raw
from .._dataclasses import dataclass
from ..errors import LlamaSamplerError
from ..model.model import LlamaModel
from ..model.params import set_params
from ..native import log
from ..native.arguments import c_number, check_count, check_type
from ..native.library import LlamaLibrary
from ..native.resource import Closable, Resource
from ._samplers import SELECTORS, TRUNCATING, SamplerMethods
from .custom import Candidates, CustomSampler
from .ending import Unended
from .grammar import Constraint, Grammar, Stopped, never
from .guidance import Guidance
from .in_graph import InGraph, check_chain, check_not_sampled, for_a_graph, in_a_graph
from .source import Source
from .trigger import Trigger

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .._params import LlamaSamplerChainParams

_PREFIX = "llama_sampler_init_"
# What would fill the memory (the library allocates room for so many tokens at once), be taken for
# "off" without a word, or make logits infinite, which the library's sorting does not bear.
_RANGES: dict[str, tuple[float, float]] = {
    "penalty_last_n": (0, 1 << 20),
    "dry_penalty_last_n": (0, 1 << 20),
    "dry_allowed_length": (0, 1 << 20),
    "penalty_repeat": (1e-3, 1e3),
    "penalty_freq": (-1e6, 1e6),
    "penalty_present": (-1e6, 1e6),
    "dry_multiplier": (-1e6, 1e6),
    "dry_base": (1.0, 1e6),
}
_OURS = frozenset(["guided", "min_tokens"])  # constraints that the library has not
_TEMPERATURES = {("temp", "t"), ("temp_ext", "t")}
_COLDEST = 1e-6
_MAX_INFILL = 1000
_LIKELY = 1024  # tokens that are looked at before all are
_MANY = 150_000  # tokens: a chain takes a millisecond or more for these


class HasOutputs(Protocol):
    """A `LlamaContext`."""

    @property
    def outputs(self) -> Source:
        """The outputs of its last decode."""
        ...


@dataclass(frozen=True)
class SamplerPerf:
    """The time and the tokens of a chain. C: ``struct llama_perf_sampler_data``, llama.h."""

    seconds: float
    """In the library's samplers; 0.0 for a chain that does not measure (``no_perf``)."""
    n_samples: int
    """Tokens that it chose or was told of."""


class LlamaSampler(SamplerMethods, Closable):
    """A chain of samplers. Each works on the candidates that the previous one left.

        sampler = LlamaSampler.chain().top_k(40).top_p(0.95).temp(0.8).dist(seed=42)

    The last one must select a token: ``greedy``, ``dist``, a ``mirostat`` or ``adaptive_p``. Every
    sampler of llama.h is a method with the C function's parameters (see
    `llama_cpp.sampling._samplers`); `custom` adds one written in Python. Put a grammar before
    samplers that remove candidates.

    Keywords are the fields of ``llama_sampler_chain_params``; ``no_perf=False`` measures the time.
    """

    def __init__(
        self, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> None:
        if not isinstance(library, LlamaLibrary | None):
            raise TypeError(f"library must be a LlamaLibrary, not {library!r}")
        self._library = library or LlamaLibrary.default()
        short = self._library.short
        self._params = params
        raw = short.llama_sampler_chain_default_params()
        set_params(raw, params, "LlamaSampler")
        chain = short.llama_sampler_chain_init(raw)
        if not chain:
            raise LlamaSamplerError("the library could not make a sampler chain")
        self.stopped: Stopped = never
        """Asked while a constraint is prepared: whether that should end with LlamaCancelled."""
        # What the samplers in it refer to: models and grammars.
        self._keep: list[object] = []
        self._resource: Resource | None = Resource(chain, short.llama_sampler_free, self._keep)
        self._names: list[str] = []
        self._numbers: list[Mapping[str, Any]] = []  # the arguments of each
        self._grammars: list[Constraint] = []
        # Whether a grammar may be asked about the chosen token alone: nothing before it does more
        # than change each logit by itself.
        self._asks = True
        self._untold = True  # whether no sampler in it needs to be told of the tokens
        # One for each of the names; None stands for the library's own samplers.
        self._steps: list[Constraint | CustomSampler | None] = []
        self._customs: list[CustomSampler] = []
        self._candidates: Candidates | None = None
        self._seconds = 0.0  # what was not measured by the library
        self._selects = False
        self._sorts = False  # the whole vocabulary, which takes milliseconds
        self._in_graph: InGraph | None = None
        self._removes = ""  # the last sampler that removes candidates
        self._n_tokens: int | None = None
        self._few = 1 << 31  # the most candidates that a top_k has left
        self._greedy = False
        self._lowered: set[int] = set()  # the tokens with a bias
        self._raises = False  # whether one of the biases is positive
        self._rest: Resource | None = None
        self._sample = short.llama_sampler_sample
        self._sample_long = self._library.llama_sampler_sample  # without the interpreter's lock
        self._accept = short.llama_sampler_accept

    @classmethod
    def chain(
        cls, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> Self:
        """An empty chain, to append samplers to. C: ``llama_sampler_chain_init``."""
        return cls(library, **params)

    def _append(self, name: str, model: LlamaModel | None, /, **arguments: Any) -> Self:
        self.opened()
        method = name.removeprefix(_PREFIX)
        self._check_end(method)
        types = _raw.FUNCTIONS[name].argtypes
        for (parameter, value), ctype in zip(arguments.items(), types, strict=True):
            arguments[parameter] = _checked(ctype, value, parameter, method)
        if model is not None:
            self._check_vocabulary(model)
            for token in _tokens_in(arguments):
                model.vocab.check_token(token)
        grammar = None
        if "grammar_str" in arguments and model is not None:
            grammar = self._grammar(model, arguments)
            sampler = grammar.stand_in()
        else:
            self._check_place(method, model)
            with log.heard() as said:
                sampler = getattr(self._library.short, name)(*arguments.values())
            if not sampler:
                raise LlamaSamplerError(
                    f"{method}: " + log.reason(said, "the library did not make this sampler")
                )
        if model is not None:
            self._keep.append(model.opened())
        for bias in arguments.get("logit_bias", ()):
            self._lowered.add(bias.token)
            self._raises = self._raises or bias.bias > 0
        numbers = {k: v for k, v in arguments.items() if isinstance(v, int | float)}
        self._add(method, sampler, numbers, grammar)
        if method == "top_k":
            if arguments["k"] <= 0:
                return self
            self._few = min(self._few, arguments["k"])
        if method in TRUNCATING:
            self._removes = method
        return self

    def _add(
        self, method: str, sampler: Any, numbers: Mapping[str, Any], grammar: Constraint | None
    ) -> None:
        self._library.short.llama_sampler_chain_add(self.opened().handle, sampler)
        # That of dist is for a graph.
        iface = sampler.contents.iface
        told = method not in ("dist", *_OURS) and bool(iface and iface.contents.accept)
        self._untold = self._untold and not told
        if grammar is not None:
            self._keep.append(grammar)
            self._grammars.append(grammar)
            self._asks = all(map(_alone, self._names, self._numbers, self._steps))
        self._names.append(method)
        self._numbers.append(numbers)
        self._steps.append(grammar)
        self._selects = method in SELECTORS
        self._sorts = self._sorts or method == "typical"
        # Nothing else in the chain makes a token likelier, and the library measures no time.
        others = [n for n, step in zip(self._names, self._steps, strict=True) if step is None]
        alone = {*others} <= {"logit_bias", "greedy"} and not self._raises
        self._greedy = method == "greedy" and alone and self._params.get("no_perf", True)

    def custom(self, sampler: CustomSampler) -> Self:
        """A sampler written in Python: an object with ``apply(candidates)``, which changes the
        logits of a `LlamaCandidates`, drops some, or selects one.
        `llama_cpp.sampling.custom.CustomSampler` lists its optional methods.

        `sample` re-raises exceptions of ``apply``; the samplers then accept no token. The sampler
        is not part of the C object, `handle`.

        Raises TypeError for an object without ``apply``.
        """
        self.opened()
        name = type(sampler).__name__
        if not callable(getattr(sampler, "apply", None)) or isinstance(sampler, type):
            raise TypeError(
                f"a custom sampler is an object with apply(candidates), not {sampler!r}"
            )
        self._check_end(name)
        self._names.append(name)
        self._numbers.append({})
        self._steps.append(sampler)
        self._customs.append(sampler)
        self._selects = bool(getattr(sampler, "selects", False))
        return self

    def guided(
        self,
        model: LlamaModel,
        *,
        json_schema: Mapping[str, Any] | str | bool | None = None,
        regex: str | None = None,
        lark: str | None = None,
        lenient: bool = False,
    ) -> Self:
        """Allow only texts that a JSON schema, a regular expression or a Lark grammar describes;
        give one of the three. It needs llguidance (the extra ``structured``), whose documentation
        describes the languages.

        A schema with a keyword that llguidance does not support is refused. ``lenient`` ignores
        such keywords, and treats ``oneOf`` as ``anyOf``.

        Raises LlamaSamplerError for a constraint that cannot be parsed or that no text can fulfil,
        and after a sampler that removes candidates.
        """
        self.opened()
        check_type(model, LlamaModel)
        self._check_end("guided")
        self._check_removed()
        self._check_vocabulary(model)
        given: dict[str, Any] = {"json_schema": json_schema, "regex": regex, "lark": lark}
        guidance = Guidance(model, given, lenient=lenient, stopped=self.stopped)
        self._add("guided", guidance.stand_in(), {}, guidance)
        return self

    def min_tokens(self, model: LlamaModel, n: int) -> Self:
        """Forbid end tokens until the text has ``n`` tokens, unless a grammar allows nothing else.

        Raises LlamaSamplerError after a sampler that removes candidates.
        """
        self.opened()
        check_type(model, LlamaModel)
        check_count(n, "min_tokens")
        self._check_end("min_tokens")
        self._check_removed()
        self._check_vocabulary(model)
        unended = Unended(model, n)
        self._add("min_tokens", unended.stand_in(), {}, unended)
        return self

    def _check_removed(self) -> None:
        if self._removes:
            raise LlamaSamplerError(
                f"a constraint behind {self._removes}, which removes candidates, may find none "
                "left that it allows: put the grammar before it"
            )

    def _grammar(self, model: LlamaModel, arguments: Mapping[str, Any]) -> Grammar:
        self._check_removed()
        patterns = list(arguments.get("trigger_patterns", ()))
        words = list(arguments.get("trigger_words", ()))
        if b"" in words:
            raise ValueError("an empty trigger word would trigger at once: use grammar instead")
        if words:
            patterns.append(b"|".join(re.escape(word) for word in words))
        lazy = "trigger_tokens" in arguments
        trigger = Trigger(patterns, list(arguments["trigger_tokens"])) if lazy else None
        text, root = arguments["grammar_str"], arguments["grammar_root"]
        return Grammar(self._library, model, text, root, trigger, self.stopped)

    def _check_end(self, method: str) -> None:
        if self._selects:
            raise LlamaSamplerError(
                f"{method} cannot come behind {self._names[-1]}, which selects the token"
            )

    def _check_vocabulary(self, model: LlamaModel) -> None:
        """Refuse another vocabulary: its tokens can be out of range, which ends the process."""
        if model.library is not self._library:
            raise LlamaSamplerError("the chain and the model belong to different libraries")
        model.vocab.with_tokens()
        n_tokens = model.vocab.n_tokens
        if self._n_tokens not in (None, n_tokens):
            raise LlamaSamplerError(
                f"the chain has samplers for a vocabulary of {self._n_tokens} tokens, and "
                f"{model.path.name} has {n_tokens}"
            )
        self._n_tokens = n_tokens

    def _check_place(self, method: str, model: LlamaModel | None) -> None:
        if method == "infill" and model is not None:
            if self._few > _MAX_INFILL:
                raise LlamaSamplerError(
                    "infill compares every candidate with every other: put a top_k of at most "
                    f"{_MAX_INFILL} before it"
                )
            if model.vocab.eot is None and model.vocab.eos is None:
                raise LlamaSamplerError(f"infill: {model.path.name} has no token that ends a text")

    # -- lifetime

    @property
    def handle(self) -> Any:
        """The C object, for `llama_cpp._raw` and the functions of the library."""
        return self.opened().handle

    def close(self) -> None:
        """Free it, and the samplers in it."""
        super().close()
        self._rest = None
        self._grammars, self._steps, self._customs, self._keep = [], [], [], []

    def _name(self) -> str:
        return "the sampler"

    @property
    def in_graph(self) -> tuple[str, ...]:
        """Those of `names` that a context runs in its graph, if it has this chain as one of its
        ``samplers``. The samplers after them run on the CPU as usual."""
        return self._in_graph.names if self._in_graph else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The samplers in it, by their methods; a custom one by its class."""
        return tuple(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        inner = " -> ".join(self._names) or "empty"
        return f"<LlamaSampler {'closed' if self.closed else inner}>"

    # -- use

    def sample(self, ctx: HasOutputs, i: int = -1) -> int:
        """Choose the next token from the output at index ``i`` of the last decode of ``ctx``, a
        `LlamaContext`, and let the samplers accept it. -1 is the last output.

        Raises LlamaSamplerError if the chain cannot select, or if a grammar allows none of the
        remaining tokens; LlamaOutputError if that output was not computed; LlamaBusyError if
        another thread uses the context. C: ``llama_sampler_sample``, llama.h.
        """
        source: Any = getattr(ctx, "outputs", ctx)
        return self.choose(source, i)

    def choose(self, source: Source, i: int, find: Callable[[], int] | None = None) -> int:
        """As `sample`, from the outputs themselves. ``find`` gives the index once this thread has
        the context; until then another thread may move a sequence's output."""
        chain = self.opened()
        if not isinstance(source, Source):
            raise TypeError(f"expected a LlamaContext, not {type(source).__name__}: {source!r}")
        if not self._selects:
            raise LlamaSamplerError(
                f"the chain {self!r} selects no token: end it with one of "
                + ", ".join(sorted(SELECTORS))
            )
        if source.library is not self._library:
            raise LlamaSamplerError("the chain and the context belong to different libraries")
        if self._n_tokens is not None and self._n_tokens != source.n_vocab:
            raise LlamaSamplerError(
                f"the chain is for a vocabulary of {self._n_tokens} tokens, the context's model "
                f"has {source.n_vocab}"
            )
        if self._customs or not self._asks:
            return self._sample_in_steps(chain, source, i, find)
        handle = source.opened().handle
        source.enter()
        try:
            i = source.check_output(i if find is None else find())
            if self._in_graph is not None:
                self._in_graph.check_sample(self, source, handle, i)
            elif source.samplers:
                check_not_sampled(source, handle, i)
            grammars = self._grammars
            if grammars:
                return self._sample_and_ask(chain, source, handle, i, grammars)
            token = None
            if self._greedy:
                token = source.likeliest.choose(handle, i, chain.handle, len(self._names))
            if token is None or token in self._lowered:
                short = source.n_vocab < _MANY and not self._sorts
                sample = self._sample if short else self._sample_long
                return int(sample(chain.handle, handle, i))
            self._accept(chain.handle, token)  # which counts it
            return token
        finally:
            source.leave()

    def _sample_and_ask(
        self, chain: Resource, source: Source, handle: Any, i: int, grammars: Sequence[Constraint]
    ) -> int:
        """Choose a token without the grammars and ask them about it. If one refuses it, choose
        again from the tokens that they allow, as upstream's ``common_sampler_sample`` does. So a
        grammar rarely has to look at the whole vocabulary."""
        stopped = source.cancelled_since()
        token, told = self._unasked(chain, source, handle, i, grammars)
        if self._in_graph is None and not all(g.allows(token, stopped) for g in grammars):
            candidates = self._all(source)
            logits = source.logits_at(i)
            self._candidates = None  # a step that is not waited for has them still
            self._shown(grammars, False)
            try:
                few = grammars[0].few(stopped) if len(grammars) == 1 else None
                if few is not None:
                    candidates.keep(few, logits)
                    candidates.apply(self._without_accept(chain))
                    chosen = candidates.array.selected
                    done = chosen < 0 or candidates.logits[chosen] > -math.inf
                else:
                    done = self._choose_likely(chain, candidates, logits, grammars, stopped)
                if not done:  # also where the chain forbids all of the few
                    candidates.fill(logits)
                    for grammar in grammars:
                        grammar.restrict(candidates, stopped)
                    candidates.apply(self._without_accept(chain))
            finally:
                self._shown(grammars, True)
            self._candidates = candidates
            token = candidates.selected
        self._tell(chain, token, grammars, stopped, told)
        return token

    def _choose_likely(
        self,
        chain: Resource,
        candidates: Candidates,
        logits: memoryview[float],
        grammars: Sequence[Constraint],
        stopped: Stopped,
    ) -> bool:
        """Select one of what the grammars allow of the likeliest tokens, if the rest cannot matter:
        where the chain takes the best so many, and there are those."""
        steps = list(zip(self._names, self._numbers, self._steps, strict=True))
        place = next(i for i, step in enumerate(steps) if not _alone(*step))
        best = {"greedy": 1, "top_k": steps[place][1].get("k", 0)}.get(steps[place][0], _LIKELY)
        quick = self._n_tokens is not None and self._n_tokens < 4 * _LIKELY
        if quick or best > _LIKELY // 4 or not self._params.get("no_perf", True):
            return False
        if not all(isinstance(grammar, Grammar) for grammar in grammars):
            return False  # a mask is had for the whole vocabulary
        get = self._library.short.llama_sampler_chain_get
        samplers = [get(chain.handle, i) for i in range(len(steps))]
        candidates.fill(logits)
        for sampler in samplers[:place]:
            candidates.apply(sampler)
        least = candidates.take_likeliest(_LIKELY)
        for grammar in grammars:
            grammar.restrict(candidates, stopped)
        allowed = [x for x in candidates.logits[:_LIKELY] if x > least]
        if len(allowed) < best:
            return False
        if steps[place][0] == "greedy":
            candidates.select_likeliest(max(allowed))
            return True
        for sampler in samplers[place:]:
            candidates.apply(sampler)
        return True

    def _unasked(
        self, chain: Resource, source: Source, handle: Any, i: int, grammars: Sequence[Constraint]
    ) -> tuple[int, bool]:
        """A token, and whether the samplers have accepted it. The grammars are not asked, except
        for candidates of a graph."""
        if self._greedy:
            token = source.likeliest.choose(handle, i, chain.handle, len(self._names))
            if token is not None and token not in self._lowered:
                return token, False
        self._shown(grammars, self._in_graph is not None)
        try:
            if self._untold:
                return int(self._sample(chain.handle, handle, i)), True
            return int(self._sample(self._without_accept(chain), handle, i)), False
        finally:
            self._shown(grammars, True)

    def _shown(self, grammars: Sequence[Constraint], shown: bool) -> None:
        for grammar in grammars:
            grammar.show(shown)

    def _without_accept(self, chain: Resource) -> Any:
        """The chain as a sampler that does not accept the token which it chooses."""
        if self._rest is None:
            iface = _raw.llama_sampler_i.from_buffer_copy(chain.handle.contents.iface.contents)
            iface.accept, iface.free = _raw.llama_sampler_i_accept(), _raw.llama_sampler_i_free()
            short = self._library.short
            sampler = short.llama_sampler_init(ctypes.pointer(iface), chain.handle.contents.ctx)
            self._rest = Resource(sampler, short.llama_sampler_free, chain, iface)
        return self._rest.handle

    def _all(self, source: Source) -> Candidates:
        """All tokens as candidates, to be filled."""
        candidates = self._candidates
        if candidates is None or candidates.n != source.n_vocab:
            candidates = self._candidates = Candidates(self._library, source.n_vocab)
        return candidates

    @property
    def forces(self) -> bool:
        """Whether `forced` may know anything."""
        return len(self._grammars) == 1 and isinstance(self._grammars[0], Guidance)

    def forced(self) -> list[int]:
        """The tokens of the text that must come next, if `guided` allows only one text. They are a
        tokenizer's; `sample` may choose other tokens for the same text."""
        return self._grammars[0].forced() if self.forces else []

    # -- in the graph of a context

    def check_in_graph(self, library: LlamaLibrary, n_tokens: int) -> None:
        """LlamaSamplerError if a context with ``n_tokens`` tokens cannot run it in its graph."""
        if self._library is not library:
            raise LlamaSamplerError("the chain and the model belong to different libraries")
        if self._n_tokens not in (None, n_tokens):
            raise LlamaSamplerError(
                f"the chain is for a vocabulary of {self._n_tokens} tokens, the model has "
                f"{n_tokens}"
            )
        if self._in_graph is not None:
            raise LlamaSamplerError(f"{self!r} runs in a graph already: give a clone() of it")
        if self._customs or not _OURS.isdisjoint(self._names):
            raise LlamaSamplerError(
                "a sampler written in Python, min_tokens or guided cannot run in a graph"
            )
        entries = zip(self._names, self._numbers, strict=True)
        inside = for_a_graph(self._library, self.handle, entries)
        check_chain(self, inside, len(self), n_tokens)

    def give_to_graph(self) -> Resource:
        """Give the chain to the graph of a context, for ever: the library sets a chain up only
        once. Returns the C object, which must live as long as the graph."""
        self._in_graph = InGraph()
        return self.opened()

    def note_graph(self, source: Source) -> None:
        """Note which of its samplers run in the graph of the context with these outputs."""
        check_type(source, Source)
        graph = self._in_graph
        if graph is None:
            raise LlamaSamplerError(f"{self!r} was not given to a graph")
        graph.source = ref(source)
        graph.names = in_a_graph(self._library, self.handle, self._names)
        graph.selects = self._selects and len(graph.names) == len(self._names)

    def reset(self) -> None:
        """Forget all accepted tokens, and restart the random numbers. C:
        ``llama_sampler_reset``."""
        self._library.short.llama_sampler_reset(self.opened().handle)
        for grammar in self._grammars:
            grammar.reset()
        for custom in self._customs:
            getattr(custom, "reset", _nothing)()

    def accept(self, token: int, *, grammar: bool = True) -> None:
        """Let the samplers accept a token that this chain did not sample, such as one of the prompt
        (penalties count it) or of another chain. `sample` does this for the token that it returns.

        ``grammar=False`` skips grammars, for tokens outside of the text that they describe.

        Raises LlamaSamplerError for a token that a grammar does not allow; then no sampler accepts
        it. C: ``llama_sampler_accept``, llama.h.
        """
        chain = self.opened()
        last = (1 << 31) if self._n_tokens is None else self._n_tokens
        number = index(token)
        if not 0 <= number < last:
            raise ValueError(f"token {number} is not in the vocabulary: 0 to {last - 1}")
        self._tell(chain, number, self._grammars if grammar else [])

    def clone(self) -> Self:
        """A copy of the chain in the same state; both continue independently. Only the random
        numbers of ``adaptive_p`` restart, because llama.cpp does not copy them.

        A custom sampler is cloned by its own ``clone()``; without one, both chains use it.
        C: ``llama_sampler_clone``, llama.h.
        """
        chain, short = self.opened(), self._library.short
        copy = type(self)(self._library, **self._params)
        copy._n_tokens, copy._few, copy._removes = self._n_tokens, self._few, self._removes
        copy._lowered, copy._raises = self._lowered, self._raises
        # As a list of its own: what it refers to has to live as long as the first sampler in it.
        copy._keep += [kept for kept in self._keep if not isinstance(kept, Constraint)]
        place = 0
        for name, numbers, step in zip(self._names, self._numbers, self._steps, strict=True):
            if step is not None and not isinstance(step, Constraint):
                copy.custom(getattr(step, "clone", lambda step=step: step)())
                continue
            original = short.llama_sampler_chain_get(chain.handle, place)
            place += 1
            if isinstance(step, Constraint):
                step = step.clone()
                copy._add(name, step.stand_in(), numbers, step)
            elif original.contents.iface.contents.clone:
                copy._add(name, short.llama_sampler_clone(original), numbers, None)
            else:
                raise LlamaSamplerError(f"the library cannot clone {name}")
        return copy

    @property
    def seed(self) -> int | None:
        """The seed of its random numbers, also where none was given; None if it has none.
        C: ``llama_sampler_get_seed``, llama.h."""
        seed = int(self._library.short.llama_sampler_get_seed(self.opened().handle))
        return None if seed == _raw.LLAMA_DEFAULT_SEED else seed

    @property
    def perf(self) -> SamplerPerf:
        """Its time and tokens since `reset_perf`. C: ``llama_perf_sampler``, llama.h."""
        data = self._library.short.llama_perf_sampler(self.opened().handle)
        return SamplerPerf(data.t_sample_ms / 1000 + self._seconds, data.n_sample)

    def reset_perf(self) -> None:
        """Begin a new measurement. C: ``llama_perf_sampler_reset``, llama.h."""
        self._library.short.llama_perf_sampler_reset(self.opened().handle)
        self._seconds = 0.0

    # -- in steps

    def _sample_in_steps(
        self, chain: Resource, source: Source, i: int, find: Callable[[], int] | None
    ) -> int:
        """As the library does it, and with the custom samplers."""
        candidates = self._all(source)
        source.opened()
        source.enter()
        try:
            candidates.fill(source.logits_at(i if find is None else find()))
        finally:
            source.leave()
        started = perf_counter()
        # What they do may change this object, or close it.
        names, steps, grammars = list(self._names), list(self._steps), list(self._grammars)
        place = 0
        self._candidates = None  # a step that is not waited for has them still
        for name, step in zip(names, steps, strict=True):
            if isinstance(step, Constraint):
                step.restrict(candidates)
                place += 1
            elif step is None:
                sampler = self._library.short.llama_sampler_chain_get(chain.handle, place)
                candidates.apply(sampler)
                place += 1
            else:
                candidates.apply_custom(step, name)
        self._candidates = candidates
        token = candidates.selected
        if not self._params.get("no_perf", True):
            self._seconds += perf_counter() - started
        self._tell(chain, token, grammars)
        return token

    def _tell(
        self,
        chain: Resource,
        token: int,
        grammars: Sequence[Constraint],
        stopped: Stopped = never,
        told: bool = False,
    ) -> None:
        for grammar in grammars:
            grammar.check(token, stopped)
        if not told:
            self._accept(chain.handle, token)
        for grammar in grammars:
            grammar.accept(token, stopped)
        for custom in self._customs:
            getattr(custom, "accept", _nothing)(token)


def _alone(name: str, numbers: Mapping[str, Any], step: object) -> bool:
    """Whether a sampler changes each logit independently of the others. Then it does not matter
    whether a grammar comes before or after it."""
    if name == "top_k":
        return bool(numbers["k"] <= 0)
    if name == "temp":
        return bool(numbers["t"] > 0)
    return isinstance(step, Constraint) or (
        step is None and name in ("logit_bias", "penalties", "dry")
    )


def _nothing(*_: object) -> None:
    """Stands for a method that a custom sampler does not have."""


def _checked(ctype: Any, value: Any, parameter: str, method: str) -> Any:
    """``value`` for C. Raises if it does not fit the parameter, or would do harm."""
    name = f"{method}: {parameter}"
    number = c_number(ctype, value, name)
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{name}={number} must be a finite number")
    if parameter in _RANGES and not (_RANGES[parameter][0] <= number <= _RANGES[parameter][1]):
        low, high = _RANGES[parameter]
        raise ValueError(f"{name}={number} is outside {low} to {high}")
    if (method, parameter) in _TEMPERATURES and 0 < number < _COLDEST:
        raise ValueError(f"{name}={number} is too near to 0: 0 itself takes the likeliest token")
    return number


def _tokens_in(arguments: Mapping[str, Any]) -> list[int]:
    """The tokens among a sampler's arguments. ValueError for a bias that is not a number."""
    biases = arguments.get("logit_bias", ())
    for bias in biases:
        if bias.bias == math.inf:
            raise ValueError(f"logit_bias: the bias of token {bias.token} is infinite")
    return [*arguments.get("trigger_tokens", ()), *(bias.token for bias in biases)]
