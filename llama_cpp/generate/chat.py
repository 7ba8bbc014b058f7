"""Chat messages as a prompt, by the C API's own template function."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import _raw
from ..errors import LlamaTemplateError
from ..native.arguments import c_string

if TYPE_CHECKING:
    from ..model.model import LlamaModel


def apply_chat_template(
    model: LlamaModel,
    messages: Sequence[Mapping[str, str]],
    *,
    template: str | None = None,
    add_assistant: bool = True,
) -> str:
    """``messages`` (each with a ``role`` and a ``content``) as the text that the model was trained
    on, ready for `LlamaModel.tokenize` with ``parse_special=True``.

    ``template`` is a Jinja template or the name of one that llama.cpp has built in, by default the
    model's own. The C API recognises the templates that it knows and does not run Jinja: one that
    it does not know raises LlamaTemplateError (llama-server runs any). ``add_assistant`` ends the
    text with the beginning of an answer. C: ``llama_chat_apply_template``.
    """
    if template is None:
        template = model.chat_template
        if template is None:
            raise LlamaTemplateError(
                f"{model.path.name} has no chat template: give one, for example template='chatml'"
            )
    if not messages:
        raise ValueError("there are no messages")
    array = (_raw.llama_chat_message * len(messages))()
    keep = []
    for i, message in enumerate(messages):
        try:
            role, content = c_string(message["role"]), c_string(message["content"])
        except (KeyError, TypeError) as error:
            raise TypeError(
                f"message {i} must have a role and a content that are strings: {message!r}"
            ) from error
        keep += [role, content]
        array[i] = _raw.llama_chat_message(role=role, content=content)
    room = 2 * sum(map(len, keep)) + 1024
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = model.library.short.llama_chat_apply_template(
            c_string(template), array, len(messages), bool(add_assistant), buffer, room
        )
        if size < 0:
            raise LlamaTemplateError(
                "llama.cpp does not know this chat template: give the name of one that it knows, "
                f"for example template='chatml', or use llama-server. It begins {template[:60]!r}"
            )
        if size <= room:
            return buffer.raw[:size].decode("utf-8", "replace")
        room = size


def lacks_bos(model: LlamaModel, text: str) -> bool:
    """Whether `LlamaModel.tokenize` has to add the token that begins a text: some templates write
    it themselves."""
    bos = model.vocab.bos
    return bos is None or not text.startswith(model.token_to_piece(bos))
