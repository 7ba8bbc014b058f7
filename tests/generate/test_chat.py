"""Chats: their prompts, the reasoning in their answers, and templates that mean harm."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import AsyncLlama, Llama, LlamaModel
from llama_cpp.errors import LlamaTemplateError
from llama_cpp.generate import ChatPrompt, ReasoningTags, apply_chat_template
from llama_cpp.generate.generation import Generation, Request
from llama_cpp.model import template as sandbox
from tests.support import tiny

FRANCE = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "What is the capital of France?"},
]
USER = [{"role": "user", "content": "2+2?"}]
# Reasons between tags, and has a switch for it.
THINKS = (
    "{% for m in messages %}{{ m.role }}:{% if m.reasoning_content %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% if not enable_thinking %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
WRITTEN = 'root ::= "<think>\\nTwo and two.\\n</think>\\n\\nFour."'
ROLES = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def llm(model_path: Path) -> Iterator[Llama]:
    with Llama(model_path, n_ctx=512) as llm:
        yield llm


@pytest.fixture(scope="module")
def small(tiny_path: Callable[..., Path]) -> Iterator[Llama]:
    with Llama(tiny_path("llama"), n_ctx=512, n_seq_max=2) as llm:
        yield llm


def render(messages: list[dict[str, Any]], template: str, model: LlamaModel, **more: Any) -> str:
    return apply_chat_template(model, messages, template=template, **more)


def test_chat_uses_the_models_template(llm: Llama) -> None:
    text = apply_chat_template(llm.model, FRANCE[1:])
    assert llm.chat_prompt(FRANCE[1:]) == text
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.endswith("France?<|im_end|>\n<|im_start|>assistant\n")
    reply = llm.chat(FRANCE, max_tokens=24, temperature=0)
    assert (reply.text, reply.reasoning) == ("The capital of France is Paris.", "")
    stream = llm.chat_stream(FRANCE, max_tokens=24, temperature=0)
    pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == reply.text
    # Read as control tokens, not as the characters that they are written with.
    assert stream.prompt.count(llm.model.vocab.bos or 0) == 3
    # The prompt of the next turn begins with this one and its answer.
    more = [*FRANCE, {"role": "assistant", "content": reply.text}, USER[0]]
    assert llm.chat(more, max_tokens=1).usage.cached_tokens >= len(stream.prompt)


def test_an_answer_that_is_the_last_message_is_continued(llm: Llama) -> None:
    begun = [*FRANCE, {"role": "assistant", "content": "The capital is"}]
    assert llm.detokenize(llm.chat_tokens(begun)).endswith("assistant\nThe capital is")
    assert llm.chat(begun, max_tokens=2, temperature=0).text == " Paris,"


@pytest.mark.parametrize(
    ("template", "begins"), [("chatml", "<|im_start|>user"), ("gemma", "<sta")]
)
def test_templates_of_the_library_go_by_name(small: Llama, template: str, begins: str) -> None:
    text = render(USER, template, small.model)
    assert text.startswith(begins)
    assert text.endswith(("assistant\n", "model\n"))


def test_a_file_can_have_several_templates(tmp_path: Path) -> None:
    """The one for tools is taken when there are tools, and each by its name."""
    names = {".tokenizer.chat_template": "own", ".tokenizer.chat_template.tool_use": "tools"}
    facts = {key: f"{value}{{{{ tools|length }}}}" for key, value in names.items()}
    with LlamaModel.from_file(tiny.make("llama", tmp_path, facts=facts)) as model:
        tools = [{"function": {"name": "add"}}]
        assert apply_chat_template(model, USER, tools=tools) == "tools1"
        assert apply_chat_template(model, USER, template="tool_use", tools=tools) == "tools1"
        assert apply_chat_template(model, USER) == "own0"


def test_a_template_gets_the_variables_that_are_given(small: Llama) -> None:
    names = ("enable_thinking", "thinking", "effort", "tools is defined", "eos_token")
    template = "{{ bos_token }}" + " ".join(f"{{{{ {name} }}}}" for name in names)
    text = render(USER, template, small.model, thinking=False, template_kwargs={"effort": "low"})
    assert text == "False False low False </s>"


@pytest.mark.parametrize(
    ("messages", "template", "text"),
    [
        (["system:a", "user:b"], "{% if messages[0].role != 'user' %}{{ raise_exception('no') }}"
         "{% endif %}" + ROLES, "[user]a\nb"),
        (["user:a", "user:b"], "{% if messages|length > 1 %}{{ raise_exception('alternate') }}"
         "{% endif %}" + ROLES, "[user]a\nb"),
        (["user:a", "user:b"], ROLES, "[user]a[user]b"),
        (["developer:a", "user:b"], ROLES, "[system]a[user]b"),
        (["user:a"], "{% for p in messages[0].content %}{{ p.text }}{% endfor %}", "a"),
    ],
)  # fmt: skip
def test_messages_take_the_form_that_a_template_reads(
    small: Llama, messages: list[str], template: str, text: str
) -> None:
    given = [dict(zip(("role", "content"), m.split(":"), strict=True)) for m in messages]
    assert render(given, template, small.model) == text


def test_reasoning_is_parted_from_the_answer(small: Llama) -> None:
    options: Any = {"template": THINKS, "grammar": WRITTEN, "max_tokens": 99}
    reply = small.chat(USER, **options)
    assert (reply.reasoning, reply.text) == ("Two and two.", "Four.")
    stream = small.chat_stream(USER, **options)
    seen = [(stream.reasoning, piece) for piece in stream]
    assert ("Two", "") in seen
    assert "".join(piece for _, piece in seen) == "Four."
    prompts = [small.chat_tokens(USER, template=THINKS) for _ in range(3)]
    many = small.complete_many(prompts, grammar=WRITTEN)
    assert [(done.reasoning, done.text) for done in many] == [("Two and two.", "Four.")] * 3
    short = small.chat(USER, template=THINKS, grammar=WRITTEN, max_tokens=18)
    assert "Two and two.".startswith(short.reasoning.rstrip("\n</think>")), short
    assert (short.text, short.finish_reason) == ("", "length")
    off = small.detokenize(small.chat_tokens(USER, template=THINKS, thinking=False))
    assert off.endswith("<think>\n\n</think>\n\n")


async def test_reasoning_is_parted_in_asyncio(tiny_path: Callable[..., Path]) -> None:
    async with AsyncLlama(tiny_path("llama"), n_ctx=512) as llm:
        options: Any = {"template": THINKS, "grammar": WRITTEN, "max_tokens": 99}
        stream = llm.chat_stream(USER, **options)
        assert "".join([piece async for piece in stream]) == "Four."
        assert stream.state.reasoning == (await llm.chat(USER, **options)).reasoning


@pytest.mark.parametrize("inside", [False, True])
def test_tags_can_be_control_tokens(model: LlamaModel, inside: bool) -> None:
    """A decoder leaves them out, and they are found all the same."""
    prompt = ChatPrompt([1])
    prompt.tags = ReasoningTags("<issue_start>", "<issue_closed>", inside)
    text = "<issue_start>" * (not inside) + "Two.<issue_closed>\nFour.<|im_start|>"
    tokens = model.tokenize(text, add_special=False, parse_special=True)
    generation = Generation(Request(model, prompt, 512, {}), (t for t in [*tokens, 2]))
    assert "".join(generation) == "Four."
    assert (generation.reasoning, generation.finish_reason) == ("Two.", "stop")


HOSTILE = {
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ messages['__class__']() }}": "unsafe",
    "{{ ''|attr('__class__') }}": "No filter",
    "{{ '{0.__class__}'.format(1) }}": "not a format",
    "{{ '{x}'.format_map({'x': 1}) }}": "unsafe",
    "{{ '{:>1000000000}'.format(1) }}": "not a format",
    "{{ '%1000000000d' % 1 }}": "no % for text",
    "{{ cycler.__init__.__globals__ }}": "unsafe",
    "{{ (5).to_bytes(1000000000) }}": "unsafe",
    "{{ messages.clear() }}": "unsafe",
    "{% include '/etc/passwd' %}": "no loader",
    "{{ 'a' * 10**10 }}": "no \\*\\*",
    "{{ 'a' * 10000000000 }}": "too much text",
    "{{ [1] * 10000000000 }}": "too much text",
    "{% for i in range(1000000000) %}{% endfor %}": "too big",
    "{{ 'a'.ljust(1000000000) }}": "unsafe",
    "{{ messages|tojson(indent=1000000000) }}": "width",
    "{{ ('9' * 100000)|int }}": "digits",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "recursion",
    "{% set x = [] %}{% set _ = x.append(x) %}{{ x }}": "nested too deep",
    "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}": "recursion",
    "{% set a = 'a' * 1000000 %}{{ a.replace('a', a) }}": "too much text",
    "{% set a = 'a' * 1000000 %}{{ ([a] * 1000000)|join }}": "too much text",
    "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}":
        "number is too large",
    **{
        "{% set n = namespace(x=['a']) %}{% for i in range(99) %}"
        f"{grow}{{% endfor %}}{{{{ n.x }}}}": "too much text|longer than"
        for grow in (
            "{% set n.x = n.x ~ n.x %}", "{% set n.x = n.x + n.x %}", "{% set n.x = [n.x, n.x] %}",
            "{% set n.x = dict(a=n.x, b=n.x) %}", "{% set y %}{{ n.x }}{{ n.x }}{% endset %}"
            "{% set n.x = y %}",
        )
    },
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "longer than",
    "{% for a in range(99999) %}{{ range(99999)|select('odd')|list|length }}{% endfor %}":
        "longer than",
    "{{ raise_exception('not you') }}": "refuses the messages: not you",
    "{% if %}": "TemplateSyntaxError",
    "{{ 1 / 0 }}": "ZeroDivisionError",
    "x" * 300_000 + "{{ 1 }}": "300007 characters",
}  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_a_template_that_means_harm_is_an_error(
    small: Llama, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    with pytest.raises(LlamaTemplateError, match=HOSTILE[source]):
        sandbox.Template(source).render({"messages": USER})
    assert render(USER, ROLES, small.model) == "[user]2+2?"


def test_ctrl_c_stops_a_template() -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sandbox.Template(loops).render({})
    timer.join()
    assert sandbox.Template("{{ 1 }}").render({}) == "1"


def test_what_chat_templates_use_works_as_in_python() -> None:
    template = sandbox.Template(
        "{% for x in [3, 1] if x %}{% if loop.last %}{% break %}{% endif %}{{ x }}{% endfor %}"
        "{{ {'ü': '<'}|tojson }}{{ '<{}>'.format('a') }}{{ 'a-b'.split('-')|join('+') }}"
        "{% generation %}{{ [1, 2]|map('string')|list|tojson }}{% endgeneration %}"
        "{{ strftime_now('%Y')|length }}{{ ('a\nb'|indent(2)) }}{{ 'x' ~ 1 ~ nothing }}"
    )
    assert template.render({}) == '3{"ü": "<"}<a>a+b["1", "2"]4a\n  bx1'


def test_without_jinja2_the_error_names_the_extra(
    small: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no silent way round it, and the library's own templates do not need it."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'libllama-py\[chat\]'"):
        small.chat(USER, template=ROLES)
    assert render(USER, "chatml", small.model)
