"""A model's reasoning, which it writes between tags, apart from its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .._dataclasses import dataclass, replace
from ..errors import LlamaTemplateError

# Where a template shows no reasoning of earlier answers, but has the tags in it.
_KNOWN = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
)
# The tag at the end of a text: <think>, [THINK], <|channel|>analysis<|message|>.
_OPENING = r"(?:<[^<>\s]+>|\[[A-Z_]+\])(?:\w+(?: to=\w+)?(?:<\|\w+\|>)?)?\s*\Z"
_CLOSING = r"\s*(?:<[^<>\s]+>|\[/[A-Z_]+\])"


@dataclass(frozen=True)
class ReasoningTags:
    """How a model marks its reasoning, with the white space around."""

    start: str
    """What begins it."""
    end: str
    """What ends it, up to the answer."""
    inside: bool = False
    """Whether the prompt ends in the reasoning already."""

    @property
    def text(self) -> str:
        """All of them."""
        return self.start + self.end

    def of(self, prompt: str, continues: bool) -> ReasoningTags:
        """These, for the answer to ``prompt``, or for the rest of the answer that it ends in."""
        start = self.start.strip()
        if continues:
            return replace(self, inside=prompt.rfind(start) > prompt.rfind(self.end.strip()))
        shared = _overlap(prompt.rstrip(), start)
        return replace(self, start=start[shared:], inside=shared == len(start))

    def closed(self, text: str) -> bool:
        """Whether the reasoning in ``text`` has ended."""
        return self.end.strip() in text

    def begin(self, prompt: str, header: int, reasoning: str, content: str) -> str:
        """``prompt``, whose last ``header`` characters begin an answer, with the answer's reasoning
        and content."""
        at = len(prompt) - header
        prompt = prompt[:at] + prompt[at:].partition(self.start.strip())[0]
        text = prompt[: len(prompt) - _overlap(prompt, self.start)] + self.start + reasoning
        return text + self.end + content if content else text


def _overlap(text: str, tag: str) -> int:
    """How much of ``tag`` is at the end of ``text``."""
    return next(n for n in range(len(tag), -1, -1) if text.endswith(tag[:n]))


def find_tags(source: str, render: Callable[[Any, bool], str]) -> ReasoningTags | None:
    """The tags of a template with the text ``source``, which ``render`` renders for an answer.

    The template itself shows them, around the reasoning of an answer that it is given.
    """
    answer = {"role": "assistant", "content": "ANSWER-7", "reasoning_content": "REASON-7"}
    try:
        before, found, after = render(answer, False).partition("REASON-7")
        between, answered, _ = after.partition("ANSWER-7")
        opening = re.search(_OPENING, before)
        if found and answered and opening and re.match(_CLOSING, between):
            return ReasoningTags(opening.group(), between)
    except LlamaTemplateError:
        pass
    for start, end in _KNOWN:
        if start.strip() in source or end.strip() in source:
            return ReasoningTags(start, end)
    return None


class ChatPrompt(list[int]):
    """The tokens of a chat, for `Llama.generate` and `Llama.generate_many`."""

    tags: ReasoningTags | None = None
    """How the model marks its reasoning in the answer; None where it does not."""


class ReasoningFilter:
    """Takes the reasoning out of a text that comes in pieces."""

    def __init__(self, tags: ReasoningTags) -> None:
        self._thoughts: list[str] = []
        self._kept = ""
        self._step = self._reason if tags.inside else self._open
        end = tags.end.strip()
        closing = re.match(_CLOSING, end)
        self._start, self._end = tags.start.strip(), closing.group() if closing else end
        # Between the two, as <|start|>assistant<|channel|>final<|message|>, of which a part may be
        # in the prompt.
        lead = end[len(self._end) :].strip()
        self._leads = [lead[i:] for i, c in enumerate(lead) if not i or c in "<["]

    @property
    def reasoning(self) -> str:
        """The reasoning so far, without white space around it."""
        return "".join(self._thoughts).strip()

    @property
    def grows(self) -> bool:
        """Whether the text that follows is reasoning."""
        return self._step == self._reason

    def feed(self, text: str, last: bool = False) -> str:
        """The part of ``text`` that belongs to the answer. What may be the beginning of a tag is
        kept back until ``last``."""
        if self._step == self._answer and not self._kept:
            return text
        self._kept += text
        while True:
            step = self._step
            answer = step(last)
            if self._step == step:
                return answer

    def _answer(self, last: bool) -> str:
        text, self._kept = self._kept, ""
        return text

    def _open(self, last: bool) -> str:
        text = self._kept.lstrip()
        if text.startswith(self._start):
            self._kept, self._step = text[len(self._start) :], self._reason
        elif last or not self._start.startswith(text):
            self._step = self._lead if self._leads else self._answer
        return ""

    def _reason(self, last: bool) -> str:
        at = self._kept.find(self._end)
        if at >= 0:
            self._step = self._lead
        else:
            at = len(self._kept) - (0 if last else _overlap(self._kept, self._end))
        self._thoughts.append(self._kept[:at])
        self._kept = self._kept[at + len(self._end) * (self._step != self._reason) :]
        return ""

    def _lead(self, last: bool) -> str:
        text = self._kept.lstrip()
        found = next((lead for lead in self._leads if text.startswith(lead)), "")
        if found:
            text = text[len(found) :].lstrip()
            self._leads = []
        waits = not text or any(lead.startswith(text) for lead in self._leads)
        if last or not waits:
            self._step = self._answer
        self._kept = text
        return ""
