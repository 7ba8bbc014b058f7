"""A model, and its LoRA adapters: loading, facts, text to tokens and back."""

from __future__ import annotations

import ctypes
import os
import re
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from .. import _raw
from .. import _std as std
from .._display import Displayed, Sheet, bar, facts, size
from ..engine.machine import give_back
from ..errors import LlamaAdapterError, LlamaCancelled, LlamaModelError, LlamaTokenizeError
from ..native import fork, log
from ..native import remote as _rpc
from ..native.arguments import c_number, c_string, check_callable, check_type, text_bytes
from ..native.calls import call, guarded
from ..native.library import LlamaLibrary
from ..native.remote import free_for, guard_for
from ..native.resource import Closable, Resource, owned
from . import params as _params
from ._getters import ModelGetters
from .checks import begin_check, check_lora
from .device import LlamaDevice, chosen_devices, device_array
from .gguf import GGUFFile, Tensor, check_parts, file_name, other_use, parts, weights, written
from .text import StreamDecoder, with_stack
from .vocab import LlamaVocab, check_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self, Unpack

    from .._params import LlamaModelParams
    from .hub import DownloadProgress

# The keywords of `LlamaModel.from_file` besides the fields of the struct.
LOADING = ("devices", "rpc_servers", "tensor_split", "kv_overrides", "tensor_buft_overrides")
# A decode allocates memory for this many cells, without checking for a failure.
_LARGEST_WINDOW = 1 << 24
# Text shorter than this is tokenized without releasing the GIL.
_SHORT_TEXT = 4096
# The library's debug line for each layer, and for the output.
_LAYER = r"layer +\d+ assigned to device (.+?)(?:, is_swa|$)"
_OF_LAYERS = b" assigned to device "
# No token begins with this and goes on.
_BEGIN = "\u263a"
# Keys of metadata, and the options that they are defaults of.
_SAMPLING: dict[str, tuple[str, Callable[[float], float]]] = {
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "min_p": ("min_p", float),
    "xtc_probability": ("xtc_probability", float),
    "xtc_threshold": ("xtc_threshold", float),
    "temp": ("temperature", float),
    "penalty_last_n": ("penalty_last_n", int),
    "penalty_repeat": ("repeat_penalty", float),
    "mirostat": ("mirostat", int),
    "mirostat_tau": ("mirostat_tau", float),
    "mirostat_eta": ("mirostat_eta", float),
}
# Samplers by their names without hyphens and underscores.
_SAMPLERS = {
    name.replace("_", ""): name
    for name in ("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc")
} | {"temperature": "temperature", "temp": "temperature", "nucleus": "top_p", "typ": "typ_p"}
_NUMBER = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?"
_TRIAL = b"a  b\n\n c"


def from_hub(name: str, *file: str, **options: Any) -> Path:
    """The cached copy of ``file`` of the repository ``name``, by `llama_cpp.model.hub.fetch`;
    without ``file``, ``name`` is a short form such as ``hf:owner/repo:Q4_K_M``."""
    from . import hub  # here: most programs do without

    return hub.fetch(name, *file, **options) if file else hub.resolve(name)


class LlamaModel(Displayed, ModelGetters, Closable):
    """A model in memory. Made by `from_file`; closed by `close`, by ``with``, or when forgotten.

    Contexts keep a closed model's memory, so it may be closed before them.
    """

    vocab: LlamaVocab
    """Its vocabulary: special tokens, sizes, attributes."""

    def __init__(self, resource: Resource, library: LlamaLibrary, path: Path) -> None:
        """Take over a loaded model. Programs call `from_file`."""
        check_type(resource, Resource)
        check_type(resource.handle, _raw.llama_model)
        check_type(library, LlamaLibrary)
        self._resource: Resource | None = resource
        self._library = library
        self.library: Final = library
        """The library that it was loaded by."""
        self.path: Final = path
        """The file that it was loaded from, the first of a split model."""
        self.overrides: Mapping[str, object] = {}
        """Metadata that was used in place of the file's."""
        self._files = [path]
        self.adapters_lock = threading.RLock()  # the library's list of them is read by decodes, too
        self._vocab_only = False
        self._repacks = False  # whether weights may be in a form that cannot be read back
        self._layers: dict[str, int] = {}
        self.vocab = LlamaVocab(library, resource, path)
        fork.renew(self)

    def after_fork(self) -> None:
        """In a child: another thread of the parent may hold the lock."""
        self.adapters_lock = threading.RLock()

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        library: LlamaLibrary | None = None,
        progress: Callable[[float], object] | None = None,
        devices: Sequence[LlamaDevice | str] | None = None,
        rpc_servers: Sequence[str] | None = None,
        tensor_split: Sequence[float] | None = None,
        kv_overrides: Mapping[str, bool | int | float | str] | None = None,
        tensor_buft_overrides: Mapping[str, str] | None = None,
        **params: Unpack[LlamaModelParams],
    ) -> Self:
        """Load a GGUF file, or the files that a model is split into.

        Of a split model give the first file, if they are named ``name-00001-of-00003.gguf`` and
        so on, or all of them in order. ``hf:owner/repo:Q4_K_M`` is a model of the Hugging Face Hub,
        as `llama_cpp.model.hub.resolve` has it.

        ``progress`` is called, in a thread of its own, with the finished fraction, 0.0 to 1.0;
        returning False stops the load. ``devices`` are the devices to use besides the CPU, see
        `llama_cpp.devices`; an empty list is the CPU alone. ``rpc_servers`` are addresses
        (``host:port``) of ggml-rpc-servers, see `LlamaRpcServer`: their devices come before
        ``devices``, and the model is spread over them all. RPC has no passwords
        and no encryption: use it on networks that you trust. ``tensor_split`` says how much of the
        model each gets, as proportions. ``kv_overrides`` is metadata to use in place of the file's.
        The library ignores, with a warning in its log, a value of another type than the key's.
        ``tensor_buft_overrides`` puts tensors where you say: a regular expression to find in their
        names -> a `LlamaDevice.buffer_type`; the first that is found counts. The other keywords are
        the fields of ``llama_model_params`` under their C names, with the library's defaults.

        The weights stay in the file, which is mapped into memory, by default. It may be removed or
        replaced by another then, but not written to or truncated: the results change with it,
        and the system ends a process (SIGBUS) that reads a missing part. With
        ``load_mode=LLAMA_LOAD_MODE_NONE`` or ``LLAMA_LOAD_MODE_DIRECT_IO`` (`llama_cpp._raw`) it
        has a copy, and the file is not needed any more.

        Raises FileNotFoundError, LlamaModelError unless it is a complete GGUF model that the
        library supports, LlamaCancelled when ``progress`` stopped it (exceptions of ``progress``
        are re-raised), LlamaRpcError for a server that is missing, busy, or of another version,
        TypeError and ValueError for wrong keywords.

        A server that is lost later is LlamaRpcError too, where it is noticed (`LlamaContext.decode`
        mostly). Then all that is over RPC in this process is closed, and only a new process can
        use RPC again.

        C: ``llama_model_load_from_file``, ``llama_model_load_from_splits``, llama.h.
        """
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str) and path.startswith("hf:"):
            path = from_hub(path)
        if path == "":
            raise ValueError("the path of the model is empty")
        split = not isinstance(path, str | os.PathLike) and isinstance(path, Sequence)
        files = [std.Path(one) for one in path] if split else [std.Path(path)]  # type: ignore
        if not files:
            raise ValueError("the list of the files of a split model is empty")
        library = LlamaLibrary.chosen(library)
        check_callable(progress, "progress")
        progress = progress or bar(f"Loading {files[0].name}")
        raw = library.short.llama_model_default_params()
        others = [*LOADING, "library", "progress"]
        _params.set_params(raw, params, "LlamaModel.from_file", others)
        # The model keeps the pointers, so their targets must live as long as it does.
        keep: list[object] = []
        chosen = chosen_devices(library, devices, rpc_servers)
        if chosen is not None:
            raw.devices = device_array(library, chosen)
            keep.append(raw.devices)
        remote = frozenset(one.endpoint for one in chosen or () if one.endpoint is not None)
        if tensor_split is not None:
            raw.tensor_split = _params.tensor_split(library, tensor_split)
            keep.append(raw.tensor_split)
        if kv_overrides is not None:
            raw.kv_overrides = _params.kv_overrides(kv_overrides)
            keep.append(raw.kv_overrides)
        if tensor_buft_overrides is not None:
            found = _params.tensor_buft_overrides(library, tensor_buft_overrides)
            raw.tensor_buft_overrides = found
            keep.append(found)
        if raw.no_alloc and not raw.vocab_only:
            raise ValueError("no_alloc is for a model without tensors: it needs vocab_only too")
        free: Callable[[Any], object] = library.llama_model_free
        if remote:
            free = _rpc.guarded_free(library, "llama_model_free")
        file = files[0]
        if not split:
            files = parts(library, file)
        check_parts(library, files)
        names = [file_name(one) for one in files]

        layers: Counter[str] = Counter()

        def note(line: str) -> None:
            if found := re.search(_LAYER, line):
                layers[found[1]] += 1

        def load() -> Resource | None:
            with log.watched(_OF_LAYERS, note):
                if split:
                    paths = (ctypes.c_char_p * len(names))(*names)
                    handle = library.llama_model_load_from_splits(paths, len(names), raw)
                else:
                    handle = library.llama_model_load_from_file(names[0], raw)
            resource = owned(handle, free, *keep)
            vocab = library.llama_model_get_vocab(handle) if resource else None
            if vocab and library.llama_vocab_type(vocab) != _raw.LLAMA_VOCAB_TYPE_NONE:
                check_bytes(library, vocab, file)
                # Where tokens are missing that a text needs, this aborts, and no later call does.
                library.llama_tokenize(vocab, _TRIAL, len(_TRIAL), None, 0, True, True)
            return resource

        check = None if raw.vocab_only else begin_check(library, files)
        resource: Resource | None = None
        with log.interruptible() as interrupted:
            reporter = _Progress(progress, interrupted)
            raw.progress_callback = reporter.callback
            # A file, or an override, whose numbers do not fit each other runs into assertions.
            guard = partial(_rpc.load, endpoints=remote) if remote else None
            try:
                resource = call(library, load, f"{file} could not be loaded", guard=guard)
            except LlamaModelError as error:
                if not reporter.stopped:
                    if use := other_use(library, file):
                        raise LlamaModelError(f"{file} is not a model{use} ({error})") from None
                    raise
            else:
                if check is not None:
                    check()
        give_back()
        reporter.raise_error()
        if resource is None:
            raise LlamaCancelled(f"loading {file} was stopped by progress")
        model = cls(resource, library, file)
        if library.has("llama_model_n_swa") and not 0 <= model.n_swa <= _LARGEST_WINDOW:
            raise LlamaModelError(
                f"{file} is damaged: its sliding window has {model.n_swa} tokens, at most "
                f"{_LARGEST_WINDOW} are possible"
            )
        _rpc.note_user(model, resource)
        model._files = files
        model.overrides = dict(kv_overrides or {})
        model._vocab_only = bool(raw.vocab_only)
        model._repacks = bool(getattr(raw, "use_extra_bufts", False))
        model._layers = dict(layers)
        model._tell_layers(params.get("n_gpu_layers", 0))
        return model

    @classmethod
    def from_pretrained(
        cls,
        repo: str,
        file: str = "*.gguf",
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        progress: Callable[[float], object] | None = None,
        download_progress: DownloadProgress | None = None,
        library: LlamaLibrary | None = None,
        **params: Any,
    ) -> Self:
        """Load a model from the Hugging Face Hub, through the cache of ``huggingface_hub``.

            LlamaModel.from_pretrained("ggml-org/gemma-3-1b-it-GGUF", "*Q4_K_M.gguf")

        ``file`` is a name, or a pattern that one model matches; all parts of a split model are
        fetched. `llama_cpp.model.hub.fetch` describes ``revision``, ``token``, ``cache_dir`` and
        ``local_files_only``, and calls ``download_progress`` with a file's name, the bytes
        that are here and the bytes in all. ``progress`` and the rest are those of `from_file`.

        Raises LlamaDownloadError if the file cannot be fetched, ModuleNotFoundError without the
        extra ``hub``, and like `from_file`.
        """
        path = from_hub(
            repo,
            file,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            progress=download_progress,
        )
        return cls.from_file(path, library=library, progress=progress, **params)

    # -- lifetime

    @property
    def handle(self) -> _raw.llama_model:
        """The C object, for `llama_cpp._raw` and the functions of `library`."""
        handle: _raw.llama_model = self.opened().handle
        return handle

    def close(self) -> None:
        """Free it, as soon as nothing that was made from it needs it any more."""
        super().close()
        self.vocab._close()

    def _name(self) -> str:
        return f"the model {self.path}"

    def __repr__(self) -> str:
        if self.closed:
            return f"<LlamaModel {self.path.name!r}, closed>"
        what = "vocabulary only" if self._vocab_only else self.description
        return f"<LlamaModel {self.path.name!r}, {what}>"

    def _display(self) -> Sheet:
        if self.closed:
            return Sheet()
        names = ("description", "n_params", "n_layer", "n_embd", "n_ctx_train")
        rows = {name: getattr(self, name) for name in names}
        more = {"size": size(self.size), "layers": self._layers or None}
        return facts({"file": self.path, **rows, **more})

    # -- facts

    @property
    def layers(self) -> Mapping[str, int]:
        """How many of its layers lie on each device, by the device's name; the output is one more
        than `n_layer`. Empty where the library does not log it, and with ``vocab_only``."""
        return dict(self._layers)

    def _tell_layers(self, n_gpu_layers: int) -> None:
        if not self._layers:
            return
        placed = ", ".join(f"{count} on {name}" for name, count in self._layers.items())
        log.show(log.INFO, f"{self.path.name}: layers {placed}")
        if n_gpu_layers > 0 and set(self._layers) == {"CPU"}:
            warnings.warn(  # from here, so that Python shows it once
                f"n_gpu_layers={n_gpu_layers}, but all layers are on the CPU: the engine has no "
                "other device. 'llama-py engine install --backend vulkan' gets one that can have",
                stacklevel=1,
            )

    def _ask(self, name: str, *arguments: object) -> Any:
        return getattr(self._library.short, name)(self.handle, *arguments)

    @property
    def description(self) -> str:
        """Architecture, size and quantization in words. C: ``llama_model_desc``."""
        buffer = ctypes.create_string_buffer(256)
        self._library.short.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def n_head(self) -> int:
        """The number of its attention heads, in the first layer."""
        # Without a layer, as with vocab_only, the library would abort.
        return int(self._ask("llama_model_n_head")) if self.n_layer else 0

    @property
    def n_head_kv(self) -> int:
        """The number of its heads for keys and values, in the first layer."""
        return int(self._ask("llama_model_n_head_kv")) if self.n_layer else 0

    @property
    def n_layer_nextn(self) -> int:
        """The layers, on top of `n_layer`, that predict tokens after the next."""
        if not self._library.has("llama_model_n_layer_nextn"):
            return 0  # older llama.cpp does not say
        return int(self._ask("llama_model_n_layer_nextn"))

    @property
    def ftype(self) -> str:
        """How its weights are quantized, mostly: ``Q4_K - Medium``. It begins with "(guessed)"
        where the file does not say. C: ``llama_ftype_name``.
        """
        if not self._library.has("llama_model_ftype"):
            return self.description.split(maxsplit=2)[-1]  # the same words, at its end
        name = self._library.short.llama_ftype_name(self._ask("llama_model_ftype"))
        return (name or b"").decode()

    @property
    def n_cls_out(self) -> int:
        """The numbers that a classifier or reranker gives for a text; 0 for any other model."""
        key = f"{self.metadata.get('general.architecture')}.pooling_type"
        ranks = self.metadata.get(key) == str(int(_raw.LLAMA_POOLING_TYPE_RANK))
        if not ranks and self._ask("llama_model_cls_label", 0) is None:
            return 0  # the library says 1 of every model
        return int(self._ask("llama_model_n_cls_out"))

    @property
    def cls_labels(self) -> list[str]:
        """The labels of a classifier's outputs; empty if they have no names.

        C: ``llama_model_cls_label``.
        """
        count = int(self._ask("llama_model_n_cls_out"))
        found = (self._ask("llama_model_cls_label", i) for i in range(count))
        return [label.decode("utf-8", "replace") for label in found if label is not None]

    @cached_property
    def sampling_defaults(self) -> dict[str, Any]:
        """The file's sampling settings (``general.sampling.*``), by the names of
        `GenerationOptions`: the defaults of a generation's options, as in
        llama.cpp's own programs. Empty for most models. C: ``llama_model_meta_val_str``.
        """
        found: dict[str, Any] = {}
        for key, (name, kind) in _SAMPLING.items():
            text = self.metadata.get(f"general.sampling.{key}")
            if text and (number := re.match(_NUMBER, text)):
                value = kind(float(number[0]))
                if abs(value) < 1 << 31:
                    found[name] = value
        if order := self.metadata.get("general.sampling.sequence"):
            names = (re.sub("[-_]", "", name.lower()) for name in order.split(";"))
            found["samplers"] = [_SAMPLERS[name] for name in names if name in _SAMPLERS]
        return found

    @property
    def chat_template(self) -> str | None:
        """Its chat template, in Jinja's language; None where it has none.

        C: ``llama_model_chat_template``; `named_chat_template` gives the others.
        """
        return self._chat_template(None)

    def named_chat_template(self, name: str) -> str | None:
        """The chat template ``name``, such as ``tool_use``; None where it has no such."""
        return self._chat_template(c_string(name))

    def _chat_template(self, name: bytes | None) -> str | None:
        template = self._ask("llama_model_chat_template", name)
        return None if template is None else str(template.decode("utf-8", "replace"))

    @property
    def metadata(self) -> Mapping[str, str]:
        """The GGUF metadata that has a single value, as strings: key -> value.

        Arrays, such as the vocabulary, are not in it. C: ``llama_model_meta_val_str_by_index``.
        """
        return Metadata(self, "llama_model_meta")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a GGUF file, with its weights as they are in memory now.

        The file is written next to ``path`` and replaces it when it is complete. Some metadata is
        lost (the chat template, the author). Raises LlamaModelError if the library cannot save the
        architecture, or if writing fails; because the library reports this by a failed assertion,
        a thread and some memory are then lost until the process ends. Raises ValueError for the
        file that the model was loaded from, and LlamaModelError for weights other than 32-bit
        floats, unless it was loaded with ``use_extra_bufts=False``: the library cannot read back
        what it has repacked. C: ``llama_model_save_to_file``.
        """
        resource = self.opened()
        if self._vocab_only:
            raise LlamaModelError(f"{self.path.name} was loaded with vocab_only: it has no weights")
        if self._repacks and any(t.type != _raw.GGML_TYPE_F32 for t in self._tensors().values()):
            raise LlamaModelError(
                f"{self.path.name} cannot be saved: its weights may be repacked for this CPU; load "
                "it with use_extra_bufts=False"
            )
        target = std.Path(path)
        library = self._library
        with written(target, self._files) as temporary:

            def write() -> list[str]:
                with log.heard() as said:
                    library.llama_model_save_to_file(resource.handle, file_name(temporary))
                    return list(said)

            what = f"{self.path.name} cannot be saved"
            said = guarded(library, write, what)
            try:
                GGUFFile(library, temporary).check_whole()
            except (LlamaModelError, OSError) as error:
                raise LlamaModelError(
                    f"{target} could not be written: {log.reason(said, str(error))}"
                ) from None
            try:
                guarded(library, lambda: self._check_saved(temporary), what)
            except LlamaModelError as error:
                raise LlamaModelError(f"{what}, something would be missing: {error}") from None

    def _check_saved(self, path: Path) -> None:
        """Check the file, because the library silently omits metadata that it does not know."""
        with LlamaModel.from_file(
            path, library=self._library, devices=[], use_extra_bufts=False
        ) as saved:
            if saved.n_params != self.n_params:
                raise LlamaModelError(f"{saved.n_params} parameters of {self.n_params}")

    # -- adapters

    def load_lora(self, path: str | os.PathLike[str]) -> LlamaLora:
        """Load a LoRA adapter for this model; `LlamaContext.set_loras` uses it.

        Raises FileNotFoundError, and LlamaAdapterError for an incomplete adapter or one of another
        model. C: ``llama_adapter_lora_init``.
        """
        return LlamaLora(self, path)

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors in its files."""
        found: dict[str, Tensor] = {}
        for file in self._files:
            found |= GGUFFile(self._library, file).tensors()
        return found

    # -- text

    def is_eog(self, token: int) -> bool:
        """Whether ``token`` ends a generation. C: ``llama_vocab_is_eog``."""
        return self.vocab.is_eog(token)

    def tokenize(
        self, text: str | bytes, *, add_special: bool = True, parse_special: bool = True
    ) -> list[int]:
        """``text`` (a string, or UTF-8 bytes) as tokens.

        ``add_special`` adds the begin and end tokens, if the model wants them; a second begin token
        is not added if ``text`` has one. ``parse_special`` parses control tokens such as
        ``<|im_start|>`` in the text; without it they are plain text, which is right for strangers'
        texts.

        Raises LlamaTokenizeError for a model without a vocabulary, and ValueError for a text with
        half a character (a lone surrogate). C: ``llama_tokenize``.
        """
        parse_special = c_number(ctypes.c_bool, parse_special, "parse_special")
        data = text_bytes(text, "text")
        vocab = self.vocab.with_tokens()
        begin = self.vocab.added[0]
        if add_special and parse_special and begin is not None:
            data = data.removeprefix(self.vocab.piece(begin, True))
        if len(data) > 2**31 - 8:
            raise ValueError(f"text of {len(data)} bytes: the library takes 2 GiB at most")
        resource = self.vocab.opened()  # keeps the memory if another thread closes the model

        def tokenize() -> list[int]:
            calls = self._library.short if len(data) < _SHORT_TEXT else self._library
            room = len(data) + 8  # a token is at least a byte, and a few are added
            while True:
                tokens = (_raw.llama_token * room)()
                count = calls.llama_tokenize(
                    vocab, data, len(data), tokens, room, bool(add_special), parse_special
                )
                if count >= 0 and resource:
                    return tokens[:count]
                if count == -(2**31) or -count <= room:
                    raise LlamaTokenizeError(f"text of {len(data)} bytes gives too many tokens")
                room = -count

        if parts := self.vocab.parts(data):
            tokens = self.tokenize(parts[0], add_special=False, parse_special=parse_special)
            for part in parts[1:]:
                tokens += self.tokenize_rest(part, parse_special=parse_special)
            added = self.vocab.added if add_special else (None, None)
            first, last = ([] if token is None else [token] for token in added)
            return [*first, *tokens, *last]
        return with_stack(tokenize, data)

    def tokenize_prompt(self, text: str | bytes, *, parse_special: bool = True) -> list[int]:
        """``text``, which is to be continued, as tokens: without the end token that some models
        want after a whole text. An encoder reads whole texts."""
        tokens = self.tokenize(text, parse_special=parse_special)
        if tokens[-1:] == [self.vocab.added[1]] and not self.has_encoder:
            del tokens[-1]
        return tokens

    def tokenize_rest(self, text: str, *, parse_special: bool = True) -> list[int]:
        """``text``, which continues another text, as tokens: without the space that some
        tokenizers put before the first word of a text."""
        if self.vocab.type != _raw.LLAMA_VOCAB_TYPE_SPM:
            return self.tokenize(text, add_special=False, parse_special=parse_special)
        begin = self.tokenize(_BEGIN, add_special=False)
        return self.tokenize(_BEGIN + text, add_special=False, parse_special=parse_special)[
            len(begin) :
        ]

    def detokenize(
        self, tokens: Iterable[int], *, special: bool = True, remove_special: bool = True
    ) -> str:
        """``tokens`` as text. Bytes that are not UTF-8 become U+FFFD; see `detokenize_bytes`."""
        return self.detokenize_bytes(tokens, special=special, remove_special=remove_special).decode(
            "utf-8", "replace"
        )

    def detokenize_bytes(
        self, tokens: Iterable[int], *, special: bool = True, remove_special: bool = True
    ) -> bytes:
        """``tokens`` as bytes.

        ``special`` writes control tokens out, and, without ``remove_special``, also the begin and
        end tokens that `tokenize` adds. Raises ValueError for a token that it does not have.
        C: ``llama_detokenize``.
        """
        vocab = self.vocab.with_tokens()
        ids = self.vocab.check_tokens(tokens)
        if remove_special and ids:
            # On request the library keeps the space that the tokenizer put before the first word.
            begin, end = self.vocab.added
            ids = ids[ids[0] == begin : len(ids) - (ids[-1] == end)]
        count = len(ids)
        given = (_raw.llama_token * count).from_buffer(ids) if count else None
        calls = self._library.short if count < _SHORT_TEXT else self._library
        room = 8 * count + 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = calls.llama_detokenize(vocab, given, count, buffer, room, False, bool(special))
            if size >= 0:
                return ctypes.string_at(buffer, size)
            if -size <= room:
                raise LlamaTokenizeError(f"{count} tokens could not be turned into text")
            room = -size

    def token_to_piece(self, token: int, *, special: bool = True) -> str:
        """The text of one token. It may be a part of a character, which reads as U+FFFD: use
        `decoder` for text that comes token by token."""
        return self.token_to_bytes(token, special=special).decode("utf-8", "replace")

    def token_to_bytes(self, token: int, *, special: bool = True) -> bytes:
        """The bytes of one token. ``special`` writes control tokens out. Raises ValueError for
        a token that is not the model's. C: ``llama_token_to_piece``."""
        return self.vocab.piece(token, special)

    def decoder(self, *, special: bool = False) -> StreamDecoder:
        """A decoder for tokens that come one by one: text, never a broken character.

        ``special`` writes control tokens out; by default they give no text.
        """
        self.vocab.with_tokens()
        return StreamDecoder(self.vocab, special=special)


class LlamaLora(Closable):
    """A LoRA adapter for a model. From `LlamaModel.load_lora`; used by `LlamaContext.set_loras`.

    Contexts keep its memory, so it may be closed while they use it. It keeps the model's memory.
    """

    def __init__(self, model: LlamaModel, path: str | os.PathLike[str]) -> None:
        """Programs call `LlamaModel.load_lora`."""
        check_type(model, LlamaModel)
        parent = model.opened()
        library = model.library
        self.model: Final = model
        """The model that it was loaded for."""
        self.library: Final = library
        """The library that it was loaded by."""
        self.path: Final = std.Path(path)
        """The file that it was loaded from."""
        arch = model.metadata.get("general.architecture")
        check_lora(library, self.path, model.path.name, arch, model._tensors)
        self.weights: Final = weights(self.path)
        """A hash of its weights, as the file is now: it may be replaced while this is in use."""
        lock = model.adapters_lock

        self.users = _Users()

        def free(handle: _raw.llama_adapter_lora) -> None:
            with lock:
                free_for(library, "llama_adapter_lora_free", parent)(handle)

        def load() -> Resource | None:
            handle = library.llama_adapter_lora_init(parent.handle, file_name(self.path))
            return owned(handle, free, parent, lock=self.users)

        what = f"{path} could not be loaded"
        with lock:
            self._resource = call(
                library, load, what, error=LlamaAdapterError, guard=guard_for(parent)
            )

    @property
    def handle(self) -> _raw.llama_adapter_lora:
        """The C object, for the functions of the library."""
        handle: _raw.llama_adapter_lora = self.opened().handle
        return handle

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its GGUF metadata that has a single value, as strings.

        C: ``llama_adapter_meta_val_str``.
        """
        self.opened()
        return Metadata(self, "llama_adapter_meta")

    @property
    def invocation_tokens(self) -> list[int]:
        """The tokens that activate an activated LoRA (aLoRA); empty for others.

        The library does not look for them: call `LlamaContext.set_loras` when they occur.
        C: ``llama_adapter_get_alora_invocation_tokens``.
        """
        calls = self.library.short
        count = int(calls.llama_adapter_get_alora_n_invocation_tokens(self.handle))
        if not count:
            return []
        tokens = calls.llama_adapter_get_alora_invocation_tokens(self.handle)
        return [int(tokens[i]) for i in range(count)]

    def _name(self) -> str:
        return f"the adapter {self.path}"

    def __repr__(self) -> str:
        return f"<LlamaLora {self.path.name!r}{', closed' if self.closed else ''}>"


class Metadata(Displayed, Mapping[str, str]):
    """The metadata of a model or an adapter, read at each access: key -> value, both strings.
    ``functions`` is the prefix of the C functions' names."""

    def __init__(self, owner: LlamaModel | LlamaLora, functions: str) -> None:
        self._owner = owner
        calls = owner.library.short
        self._value = getattr(calls, f"{functions}_val_str")
        self._count = getattr(calls, f"{functions}_count")
        self._key = getattr(calls, f"{functions}_key_by_index")

    def __getitem__(self, key: str) -> str:
        # A damaged file may have keys that are not UTF-8; every key from iteration must work here.
        value = self._read(self._value, c_string(key, "surrogateescape"))
        if value is None:
            raise KeyError(key)
        return value.decode("utf-8", "replace")

    def __len__(self) -> int:
        return int(self._count(self._owner.handle))

    def __iter__(self) -> Iterator[str]:
        for i in range(len(self)):
            yield (self._read(self._key, i) or b"").decode("utf-8", "surrogateescape")

    def _read(self, function: Any, which: bytes | int) -> bytes | None:
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = function(self._owner.handle, which, buffer, room)
            if size < room:
                return buffer.raw[:size] if size >= 0 else None
            room = size + 1

    def __repr__(self) -> str:
        return repr(dict(self))

    def _display(self) -> Sheet:
        return Sheet() if self._owner.closed else facts(self)


class User(Protocol):
    """A context that uses an adapter."""

    def in_use(self) -> bool:
        """Whether a thread is in it."""
        ...


class _Users:
    """The locks of the contexts that use an adapter, as one: it is not freed while one computes."""

    def __init__(self) -> None:
        self.contexts: weakref.WeakSet[User] = weakref.WeakSet()

    def acquire(self, blocking: bool = True) -> bool:
        """Whether none is held. They are not taken, because nothing follows the adapter's end."""
        return not any(context.in_use() for context in self.contexts)


class _Progress:
    """The C callback for a Python function that reports progress."""

    def __init__(
        self, function: Callable[[float], object] | None, interrupted: Callable[[], bool]
    ) -> None:
        self.function = function
        self.interrupted = interrupted
        self.stopped = False
        self.error: BaseException | None = None
        self.callback = _raw.llama_progress_callback(self._call)

    def _call(self, done: float, _: int | None) -> bool:
        try:
            if self.interrupted():
                self.stopped = True
            elif self.function is not None:
                self.stopped = self.function(done) is False
        except BaseException as error:  # it must not reach C; raise_error has it
            self.error = error
            self.stopped = True
        return not self.stopped

    def raise_error(self) -> None:
        """Re-raise the function's exception."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def vocab_of(model: LlamaModel) -> LlamaVocab:
    """The vocabulary of ``model``. Raises TypeError for another object."""
    check_type(model, LlamaModel)
    return model.vocab
