"""Properties that are a C function of llama.cpp and nothing more.

Generated from ggml.h, ggml-alloc.h, ggml-backend.h, ggml-cpu.h, ggml-opt.h, gguf.h, llama.h
by ``python -m codegen regen``. Do not edit: change the header, codegen/getters.toml or the generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _raw

if TYPE_CHECKING:
    from ..native.library import LlamaLibrary


class ModelGetters:
    """What the library says of a `LlamaModel`."""

    _library: LlamaLibrary

    @property
    def handle(self) -> _raw.llama_model:
        """The C object."""
        raise NotImplementedError

    @property
    def rope_type(self) -> _raw.llama_rope_type:
        """How positions are rotated into keys and queries.

        C: ``enum llama_rope_type llama_model_rope_type(const struct llama_model *model)``, llama.h.
        """
        return _raw.llama_rope_type(self._library.short.llama_model_rope_type(self.handle))

    @property
    def n_ctx_train(self) -> int:
        """The context length that it was trained with, in tokens.

        C: ``int32_t llama_model_n_ctx_train(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_ctx_train(self.handle)

    @property
    def n_embd(self) -> int:
        """The width of its hidden state.

        C: ``int32_t llama_model_n_embd(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_embd(self.handle)

    @property
    def n_embd_inp(self) -> int:
        """The width of what goes in, where embeddings take the place of tokens.

        C: ``int32_t llama_model_n_embd_inp(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_embd_inp(self.handle)

    @property
    def n_embd_out(self) -> int:
        """The width of the embeddings that come out, which may differ from `n_embd`.

        C: ``int32_t llama_model_n_embd_out(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_embd_out(self.handle)

    @property
    def n_layer(self) -> int:
        """The number of its layers.

        C: ``int32_t llama_model_n_layer(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_layer(self.handle)

    @property
    def n_swa(self) -> int:
        """The size of its sliding window, in tokens; 0 where it has none.

        C: ``int32_t llama_model_n_swa(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_swa(self.handle)

    @property
    def rope_freq_scale_train(self) -> float:
        """The factor of the rotation's frequency that it was trained with.

        C: ``float llama_model_rope_freq_scale_train(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_rope_freq_scale_train(self.handle)

    @property
    def size(self) -> int:
        """The size of all its tensors, in bytes.

        C: ``uint64_t llama_model_size(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_size(self.handle)

    @property
    def n_params(self) -> int:
        """The number of its parameters.

        C: ``uint64_t llama_model_n_params(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_n_params(self.handle)

    @property
    def has_encoder(self) -> bool:
        """Whether `LlamaContext.encode` has to come before `LlamaContext.decode`.

        C: ``bool llama_model_has_encoder(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_has_encoder(self.handle)

    @property
    def has_decoder(self) -> bool:
        """Whether it can generate with `LlamaContext.decode`.

        C: ``bool llama_model_has_decoder(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_has_decoder(self.handle)

    @property
    def decoder_start_token(self) -> int | None:
        """What an encoder-decoder model's decoder starts with; None where the model has none.

        C: ``llama_token llama_model_decoder_start_token(const struct llama_model *model)``, llama.h.
        """
        token = self._library.short.llama_model_decoder_start_token(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def is_recurrent(self) -> bool:
        """Whether it has a state in place of a KV cache, as Mamba and RWKV do.

        C: ``bool llama_model_is_recurrent(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_is_recurrent(self.handle)

    @property
    def is_hybrid(self) -> bool:
        """Whether some of its layers are recurrent and others have attention, as in Jamba.

        C: ``bool llama_model_is_hybrid(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_is_hybrid(self.handle)

    @property
    def is_diffusion(self) -> bool:
        """Whether it generates by diffusion, as LLaDA does, and not token by token.

        C: ``bool llama_model_is_diffusion(const struct llama_model *model)``, llama.h.
        """
        return self._library.short.llama_model_is_diffusion(self.handle)


class VocabGetters:
    """What the library says of a `LlamaVocab`."""

    _library: LlamaLibrary

    @property
    def handle(self) -> _raw.llama_vocab:
        """The C object."""
        raise NotImplementedError

    @property
    def bos(self) -> int | None:
        """The token that begins a text; None where the model has none.

        C: ``llama_token llama_vocab_bos(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_bos(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def eos(self) -> int | None:
        """The token that ends a text; None where the model has none.

        C: ``llama_token llama_vocab_eos(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_eos(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def eot(self) -> int | None:
        """The token that ends a turn of a chat; None where the model has none.

        C: ``llama_token llama_vocab_eot(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_eot(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def sep(self) -> int | None:
        """The token between two texts; None where the model has none.

        C: ``llama_token llama_vocab_sep(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_sep(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def nl(self) -> int | None:
        """The token of a line end; None where the model has none.

        C: ``llama_token llama_vocab_nl(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_nl(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def pad(self) -> int | None:
        """The token that fills up; None where the model has none.

        C: ``llama_token llama_vocab_pad(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_pad(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def mask(self) -> int | None:
        """The token that stands for one to guess; None where the model has none.

        C: ``llama_token llama_vocab_mask(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_mask(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def add_bos(self) -> bool:
        """Whether `LlamaModel.tokenize` puts `bos` first.

        C: ``bool llama_vocab_get_add_bos(const struct llama_vocab *vocab)``, llama.h.
        """
        return self._library.short.llama_vocab_get_add_bos(self.handle)

    @property
    def add_eos(self) -> bool:
        """Whether `LlamaModel.tokenize` puts `eos` last.

        C: ``bool llama_vocab_get_add_eos(const struct llama_vocab *vocab)``, llama.h.
        """
        return self._library.short.llama_vocab_get_add_eos(self.handle)

    @property
    def add_sep(self) -> bool:
        """Whether `sep` belongs between two texts.

        C: ``bool llama_vocab_get_add_sep(const struct llama_vocab *vocab)``, llama.h.
        """
        return self._library.short.llama_vocab_get_add_sep(self.handle)

    @property
    def fim_pre(self) -> int | None:
        """Fill in the middle: what comes before the text in front of the gap, or None.

        C: ``llama_token llama_vocab_fim_pre(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_pre(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def fim_suf(self) -> int | None:
        """Fill in the middle: what comes before the text behind the gap, or None.

        C: ``llama_token llama_vocab_fim_suf(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_suf(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def fim_mid(self) -> int | None:
        """Fill in the middle: what comes before the text of the gap, or None.

        C: ``llama_token llama_vocab_fim_mid(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_mid(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def fim_pad(self) -> int | None:
        """Fill in the middle: what fills up, or None.

        C: ``llama_token llama_vocab_fim_pad(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_pad(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def fim_rep(self) -> int | None:
        """Fill in the middle: what comes before the name of a repository, or None.

        C: ``llama_token llama_vocab_fim_rep(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_rep(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def fim_sep(self) -> int | None:
        """Fill in the middle: what comes between its files, or None.

        C: ``llama_token llama_vocab_fim_sep(const struct llama_vocab *vocab)``, llama.h.
        """
        token = self._library.short.llama_vocab_fim_sep(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else token


class DeviceGetters:
    """What the library says of a `LlamaDevice`."""

    _library: LlamaLibrary
    _handle: _raw.ggml_backend_device

    @property
    def name(self) -> str:
        """Its name in the library: ``CPU``, ``CUDA0``.

        C: ``const char *ggml_backend_dev_name(ggml_backend_dev_t device)``, ggml-backend.h.
        """
        text = self._library.short.ggml_backend_dev_name(self._handle)
        return (text or b"").decode("utf-8", "replace")

    @property
    def description(self) -> str:
        """What it is, as its maker calls it.

        C: ``const char *ggml_backend_dev_description(ggml_backend_dev_t device)``, ggml-backend.h.
        """
        text = self._library.short.ggml_backend_dev_description(self._handle)
        return (text or b"").decode("utf-8", "replace")

    @property
    def type(self) -> _raw.ggml_backend_dev_type_enum:
        """CPU, GPU, a GPU with the CPU's memory, an accelerator.

        C: ``enum ggml_backend_dev_type ggml_backend_dev_type(ggml_backend_dev_t device)``, ggml-backend.h.
        """
        return _raw.ggml_backend_dev_type_enum(
            self._library.short.ggml_backend_dev_type(self._handle)
        )


class ContextGetters:
    """What the library says of a `LlamaContext`."""

    _library: LlamaLibrary

    @property
    def handle(self) -> _raw.llama_context:
        """The C object."""
        raise NotImplementedError

    @property
    def n_ctx(self) -> int:
        """The size of the KV cache, in tokens; may be rounded up from the given one.

        C: ``uint32_t llama_n_ctx(const struct llama_context *ctx)``, llama.h.
        """
        return self._library.short.llama_n_ctx(self.handle)

    @property
    def n_batch(self) -> int:
        """The most tokens that the library takes at a time; `LlamaContext.decode` takes more in parts.

        C: ``uint32_t llama_n_batch(const struct llama_context *ctx)``, llama.h.
        """
        return self._library.short.llama_n_batch(self.handle)

    @property
    def n_ubatch(self) -> int:
        """The most tokens that are computed at a time, and so the longest text for a model without causal attention.

        C: ``uint32_t llama_n_ubatch(const struct llama_context *ctx)``, llama.h.
        """
        return self._library.short.llama_n_ubatch(self.handle)

    @property
    def n_seq_max(self) -> int:
        """The number of sequences that it can hold.

        C: ``uint32_t llama_n_seq_max(const struct llama_context *ctx)``, llama.h.
        """
        return self._library.short.llama_n_seq_max(self.handle)

    @property
    def pooling_type(self) -> _raw.llama_pooling_type_enum:
        """How the embeddings of a sequence's tokens become one.

        C: ``enum llama_pooling_type llama_pooling_type(const struct llama_context *ctx)``, llama.h.
        """
        return _raw.llama_pooling_type_enum(self._library.short.llama_pooling_type(self.handle))
# seal: b11549 sha256:4c6dc8ce5a58e371266d16140fa310e39a62c5730cf054f8c7ccf8145b1b53e9
