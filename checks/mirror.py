"""The behaviours that llama.cpp's own server tests name, through our client, agent and server.

    python -m checks.mirror

Each of upstream's tests is a row here, or has a reason not to be one. Rows run on tiny models with
random weights. 0 all rows pass and every test is known, 1 not so.
"""

from __future__ import annotations

import ast
import contextlib
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from codegen import source
from llama_cpp import LlamaAgent, LlamaClient, LlamaServer, errors
from llama_cpp.server._fields import Json
from tests.support import tiny, tiny_mmproj
from tests.support.adapters import write_lora

Row = Callable[[LlamaClient], object]
BAD, LONGER = errors.LlamaBadRequestError, errors.LlamaContextOverflowError
HI = [{"role": "system", "content": "Book"}, {"role": "user", "content": "What is the best book"}]
LONG = "a b c d " * 2000
TEMPLATE = str(source.resolve().root / "models" / "templates" / "Qwen-Qwen3-0.6B.jinja")
WEIGHTS = "asks what a trained model answers"
OTHERS = "another library's client: make checks NAME=clients"
TOOLS = "what the server's own tools do in its folder; LlamaClient.request reaches each in one way"
MCP = "the server's own MCP servers; those of LlamaAgent are tested in tests/agent"
ENGINE = "reads the server's log or a state file's bytes"
DECISION = "needs a trained model of another kind (laya, openjev)"

REASONS = {
    "gcp": "answers where a provider's environment variables are set",
    "systemone_systemone": DECISION, "test_tool_call": WEIGHTS, "test_mcp_servers": MCP,
    "test_tools_builtin": TOOLS, "proxy_mcp": "passes what a browser asks of MCP servers",
    "kv_keep_only_active": ENGINE, "checkpoint": ENGINE, "legacy_token_list": ENGINE,
    "across_restart": "restarts the server in the same folder; the same file in slot_save_restore",
    "larger_than_context": "writes a state file by hand",
    "media_file_without_mmproj": "restarts the server without its projector",
    "during_model_load": "needs a model that loads for seconds",
    "router_queue": "needs the server's own delay for tests (LLAMA_SERVER_DEBUG_FAKE_TIMING)",
    "reload_models": "changes the server's preset file while it runs",
    "dedup_cache": "needs models in the server's cache", "remote_preset": "asks the network",
    "delete_model": "needs models in the server's cache",
    "multiple_addresses": "LlamaServer listens at one address",
    "static_assets": "is a page for browsers", "no_ui": "is a page for browsers",
    "cors": "headers for browsers", "load_split": "tests/model has split files",
    "openai_library": OTHERS, "synth": "a test mode of the server's drafts",
    "backend_sampling": "compares two samplers of the engine",
    "qwen_model": WEIGHTS, "big_model": WEIGHTS, "thinking_with_reasoning": WEIGHTS,
    "date_inside": "asks what upstream's templates make of dates",
    "template_reasoning": "asks what upstream's templates make of thoughts",
    "with_fa": "compares the engine's attention kernels",
}  # fmt: skip
"""Part of a test's name, or its file -> why it is not a row."""


def refused(call: Callable[[], object], error: Any) -> None:
    """Check that ``call`` raises ``error``."""
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error}")


def same(values: Iterable[object]) -> bool:
    first, *others = values
    return all(one == first for one in others)


def complete(c: LlamaClient, prompt: Any = "Once upon a time", **fields: Any) -> Any:
    return c.complete(prompt, **{"n_predict": 8, "temperature": 0, "seed": 1, **fields})


def text(c: LlamaClient, **fields: Any) -> str:
    return str(complete(c, **fields)["content"])


def parts(c: LlamaClient, **fields: Any) -> list[Any]:
    return list(c.complete_stream("Once upon a time", n_predict=8, temperature=0, **fields))


def chat(c: LlamaClient, messages: Any = HI, **fields: Any) -> Any:
    return c.chat_completion(messages, **{"max_tokens": 8, "temperature": 0, **fields})


def chunks(c: LlamaClient, **fields: Any) -> list[Any]:
    with c.chat_stream(HI, **{"max_tokens": 8, "temperature": 0, **fields}) as stream:
        return list(stream)


def said(response: Any) -> str:
    return str(response["choices"][0]["message"]["content"])


def schema(of: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": of}}


def by_agent(c: LlamaClient, **fields: Any) -> None:
    """Where a template's beginning of the answer does not fit the schema, the agent helps."""
    with LlamaAgent(c.base_url, api_key="right") as agent:
        assert said(agent.chat("Hi", max_tokens=8, **fields)) == "null"


def parallel(c: LlamaClient, count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda _: text(c, n_predict=16), range(count)))
    assert same(found)


def cancelled(c: LlamaClient) -> None:
    stream = c.complete_stream("Once", n_predict=100_000, ignore_eos=True)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    idle(c)


def idle(c: LlamaClient) -> None:
    end = time.monotonic() + 30
    while any(slot["is_processing"] for slot in c.slots()):
        assert time.monotonic() < end
        time.sleep(0.05)


def slot_saved(c: LlamaClient) -> None:
    first = text(c, id_slot=1, cache_prompt=True)
    saved = c.save_slot(1, "one.bin")
    assert saved["n_saved"] > 0
    assert c.restore_slot(0, "one.bin")["n_restored"] == saved["n_saved"]
    assert text(c, id_slot=0, cache_prompt=True) == first


def slot_erased(c: LlamaClient) -> None:
    full = complete(c, id_slot=1, cache_prompt=True)["timings"]["prompt_n"]
    assert complete(c, id_slot=1, cache_prompt=True)["timings"]["prompt_n"] <= full
    c.erase_slot(1)
    assert complete(c, id_slot=1, cache_prompt=True)["timings"]["prompt_n"] >= full


def timed(c: LlamaClient) -> None:
    first, *others = [one for one in chunks(c, timings_per_token=True) if one["choices"]]
    assert "timings" not in first
    assert all(one["timings"]["predicted_n"] <= 8 for one in others if "timings" in one)


def progress(c: LlamaClient) -> None:
    found = chunks(c, return_progress=True, cache_prompt=False)
    seen = [one["prompt_progress"] for one in found if "prompt_progress" in one]
    assert seen
    assert seen[-1]["processed"] == seen[-1]["total"] > 0


def counted(c: LlamaClient, name: str, field: str) -> None:
    before = c.metrics()[f"llamacpp:{name}"]
    found = complete(c)["timings"][field]
    assert c.metrics()[f"llamacpp:{name}"] == before + found > before


def probabilities(found: Any, *, sampled: bool = False) -> None:
    rows = [row for one in found for row in one.get("completion_probabilities", ())]
    top, value = ("top_probs", "prob") if sampled else ("top_logprobs", "logprob")
    assert len(rows) == 8
    assert all(len(row[top]) <= 10 and value in row for row in rows)


def finite(c: LlamaClient) -> None:
    for n in (0, 1, 8):
        timings = complete(c, n_predict=n)["timings"]
        assert all(value is not None and math.isfinite(value) for value in timings.values())


def biased(c: LlamaClient, key: str) -> None:
    (token,) = c.tokenize("a")[-1:]
    bias: Any = {str(token): -100} if key == "object" else [[token, False]]
    assert token not in complete(c, logit_bias=bias, return_tokens=True)["tokens"]


def lora_each(c: LlamaClient) -> None:
    def ask(scale: float) -> str:
        return text(c, lora=[{"id": 0, "scale": scale}], cache_prompt=False)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, [0.0, 0.0, 1.0, 1.0]))
    assert found[0] == found[1]
    assert found[2] == found[3]


def lora_all(c: LlamaClient) -> None:
    for scale in (1.0, 0.0):
        c.set_lora_scales({0: scale})
        assert c.lora_adapters()[0]["scale"] == scale


def unit(c: LlamaClient) -> None:
    for count in (1, 4):
        vectors = c.embed(["hello world"] * count)
        assert len(vectors) == count
        assert same([round(x, 3) for x in v] for v in vectors)
        assert abs(sum(x * x for x in vectors[0]) - 1) < 1e-3


def slept(c: LlamaClient) -> None:
    end = time.monotonic() + 60
    while not c.props().get("is_sleeping"):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert c.health()
    assert len(c.models()) == 1
    assert complete(c)["content"] is not None
    assert not c.props()["is_sleeping"]


def woken(c: LlamaClient) -> None:
    time.sleep(2)
    assert c.count_tokens(HI) > 0


def unloaded(c: LlamaClient) -> None:
    c.load_model("one")
    assert said(chat(c, model="one")) is not None
    c.unload_model("one")
    refused(lambda: c.load_model("none"), errors.LlamaServerError)


def with_key(c: LlamaClient, key: str | None, good: bool) -> None:
    with LlamaClient(c.base_url, api_key=key, retries=0) as other:
        assert other.health()
        if good:
            assert other.props()
        else:
            refused(other.props, errors.LlamaAuthenticationError)


def filled(c: LlamaClient, **fields: Any) -> None:
    refused(lambda: chat(c, [{"role": "user", "content": LONG}], **fields), LONGER)


PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5Er"
    "kJggg=="
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLAUDE_TOOL = {"name": "weather", "description": "Tell it.", "input_schema": SCHEMA}
PICTURE = {
    "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
}  # fmt: skip


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def called(**result: Any) -> list[Json]:
    """A call in Anthropic's form, and its result."""
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}}
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny", **result}
    return [user("Hi"), {"role": "assistant", "content": [use]}, user([answer])]


def message(c: LlamaClient, messages: Any = (HI[1],), **fields: Any) -> bool:
    found = c.messages(list(messages), **{"max_tokens": 8, **fields})
    assert "timings" not in found
    return found["type"] == "message" and found["stop_reason"] in ("end_turn", "max_tokens")


def message_events(c: LlamaClient, **fields: Any) -> None:
    found = list(c.messages_stream([HI[1]], max_tokens=8, **fields))
    kinds = [one["type"] for one in found]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    for kind in ("start", "stop"):
        indexes = [one["index"] for one in found if one["type"] == f"content_block_{kind}"]
        assert indexes == list(range(len(indexes)))
    assert "content_block_delta" in kinds


def counted_message(c: LlamaClient, **fields: Any) -> bool:
    return c.messages_tokens([user("Hello")], **fields) > 0


def thoughtful(c: LlamaClient) -> bool:
    with_thought = called()
    thought = {"type": "thinking", "thinking": "I should ask the weather service about the city."}
    with_thought[1]["content"].insert(0, thought)
    sizes = [c.messages_tokens(m, tools=[CLAUDE_TOOL]) for m in (called(), with_thought)]
    return sizes[0] < sizes[1]


def thoughts_shown(c: LlamaClient) -> bool:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "assistant", "content": "", "reasoning_content": t, "tool_calls": [call]}
        for t in ("First this.", "Then that.")
    ]
    result = {"role": "tool", "tool_call_id": "c1", "content": "x"}
    prompt = c.apply_template([user("Go"), turns[0], result, turns[1], result])
    return "First this." in prompt and "Then that." in prompt


def response_events(c: LlamaClient) -> None:
    options: Any = {"max_output_tokens": 8, "timings_per_token": True, "return_progress": True}
    found = list(c.responses_stream("This is a test" * 10, **options))
    assert any("prompt_progress" in one for one in found)
    text = "".join(one["delta"] for one in found if one["type"] == "response.output_text.delta")
    done = found[-1]["response"]
    assert done["id"].startswith("resp_")
    assert done["output"][0]["content"][0]["text"] == text
    assert "timings" in found[-1]


def logprobs(c: LlamaClient) -> bool:
    found = chat(c, logprobs=True, top_logprobs=10)["choices"][0]
    tokens = found["logprobs"]["content"]
    assert all(one["logprob"] <= 0 and one["bytes"] and one["top_logprobs"] for one in tokens)
    with c.chat_stream(HI, max_tokens=8, temperature=0, logprobs=True, top_logprobs=10) as stream:
        list(stream)
    return bool(stream.response["choices"][0]["logprobs"]["content"] == tokens)


def raw(c: LlamaClient, path: str, **body: Any) -> Any:
    return c.request("POST", path, body)


def inputs(c: LlamaClient) -> bool:
    given = ["one", [12, 34], [12, "two", 34], {"prompt_string": "three"},
             {"content": [{"type": "text", "text": "four"}]}]  # fmt: skip
    assert all(len(raw(c, "/v1/embeddings", input=one)["data"]) == 1 for one in given)
    return len(raw(c, "/v1/embeddings", input=given)["data"]) == len(given)


def used(c: LlamaClient, path: str, **body: Any) -> bool:
    usage = raw(c, path, **body)["usage"]
    return usage["prompt_tokens"] == usage["total_tokens"] > 0


def seen(c: LlamaClient, url: str = "data:image/png;base64," + PIXEL) -> Json:
    return user({"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}})


def pictured(c: LlamaClient, **fields: Any) -> Any:
    marker = c.props()["media_marker"]
    prompt = {"prompt_string": f"What: {marker}", "multimodal_data": [PIXEL]}
    return complete(c, prompt, **fields)


def picture_vectors(c: LlamaClient) -> Any:
    prompt = {"prompt_string": f"What: {c.props()['media_marker']}", "multimodal_data": [PIXEL]}
    first, second, other = (
        one["embedding"] for one in raw(c, "/embeddings", content=[prompt, prompt, "What: "])
    )
    return first == second != other and [first, other]


def picture_saved(c: LlamaClient) -> None:
    first = pictured(c, id_slot=1)["content"]
    saved = c.save_slot(1, "media.bin")
    assert c.restore_slot(0, "media.bin")["n_restored"] == saved["n_saved"]
    again = pictured(c, id_slot=0)
    assert again["content"] == first
    assert again["timings"]["cache_n"] > 0


def drafted(c: LlamaClient, **fields: Any) -> bool:
    found = complete(c, n_predict=16, return_tokens=True, **fields)
    return found["timings"]["draft_n"] > 0 and len(found["tokens"]) == 16


def evicted(c: LlamaClient) -> None:
    for name in ("one", "two"):
        c.load_model(name)
    states = {model["id"]: model["status"]["value"] for model in c.models()}
    assert states == {"one": "unloaded", "two": "loaded"}


def resumed(c: LlamaClient) -> None:
    conversation = "talk/with:a/slash"
    c.load_model("one")
    with c.chat_stream(HI, model="one", max_tokens=8, conversation=conversation) as stream:
        list(stream)
    query = {"conv_id": conversation}
    assert "data: " in c.request("GET", "/v1/stream", **query, **{"from": "0"})
    c.request("DELETE", "/v1/stream", **query)
    refused(
        lambda: c.request("GET", "/v1/stream", **query, **{"from": "0"}),
        errors.LlamaNotSupportedError,
    )


def verbose(c: LlamaClient) -> bool:
    found = [chat(c, extra_body={"verbose": on}) for on in (True, False)]
    return "Book" in found[0]["__verbose"]["prompt"] and "__verbose" not in found[1]


def exposed(c: LlamaClient) -> bool:
    complete(c)
    text = c.request("GET", "/metrics")
    return all(f"# HELP {name} " in text for name in c.metrics() if "{" not in name)


BAD_MESSAGES: tuple[Any, ...] = (
    "not a list", [{}], ["text"], [{"role": "user", "content": 5}], [{"role": 5, "content": "x"}],
)  # fmt: skip
ROWS: dict[str, dict[str, Row]] = {
    "chat": {
        "basic_server_start_simple": lambda c: c.health(),
        "basic_server_props": lambda c: c.props()["total_slots"] == 2,
        "basic_server_models": lambda c: [m["id"] for m in c.models()] == ["mine"],
        "basic_server_slots": lambda c: len(c.slots()) == 2,
        "basic_server_model_aliases_and_tags": lambda c: c.models()[0]["tags"] == ["big", "new"],
        "completion_completion": lambda c: complete(c, return_tokens=True)["tokens"],
        "completion_completion_stream": lambda c: parts(c)[-1]["stop"],
        "completion_completion_stream_vs_non_stream": lambda c: "".join(
            one["content"] for one in parts(c, seed=1)
        ) == text(c),
        "completion_consistent_result_same_seed": lambda c: same(text(c) for _ in range(4)),
        "completion_different_result_different_seed": lambda c: len(
            {text(c, seed=i, temperature=1) for i in range(6)}
        ) > 1,
        "completion_cache_vs_nocache_prompt": lambda c: same(
            text(c, cache_prompt=kept) for kept in (True, False)
        ),
        "completion_nocache_long_input_prompt": lambda c: refused(
            lambda: complete(c, LONG), LONGER
        ),
        "completion_json_prompt_no_mtmd": lambda c: complete(c, {"prompt_string": "Hi"})["content"],
        "completion_completion_with_tokens_input": lambda c: same(
            [text(c, prompt=c.tokenize("Hi there")), text(c, prompt=c.tokenize("Hi there"))]
        ),
        "completion_completion_parallel_slots": lambda c: parallel(c, 6),
        "completion_completion_response_fields": lambda c: len(
            complete(c, response_fields=["content", "generation_settings/n_predict"])
        ) == 2,
        "completion_n_probs": lambda c: probabilities([complete(c, n_probs=10)]),
        "completion_n_probs_stream": lambda c: probabilities(parts(c, n_probs=10)),
        "completion_n_probs_post_sampling": lambda c: probabilities(
            [complete(c, n_probs=10, post_sampling_probs=True)], sampled=True
        ),
        "completion_logit_bias": lambda c: (biased(c, "object"), biased(c, "list")),
        "completion_cancel_request": cancelled,
        "chat_completion_chat_completion": lambda c: chat(c)["usage"]["completion_tokens"] <= 8,
        "chat_completion_chat_completion_cached_tokens": lambda c: chat(c)["usage"][
            "prompt_tokens_details"
        ]["cached_tokens"] >= 0,
        "chat_completion_chat_completion_stream": lambda c: same(x["id"] for x in chunks(c)),
        "chat_completion_chat_template": lambda c: "best book" in c.apply_template(HI),
        "chat_completion_chat_template_assistant_prefill": lambda c: c.apply_template(
            [*HI, {"role": "assistant", "content": "Well"}]
        ).rstrip().endswith("Well"),
        "chat_completion_apply_chat_template": lambda c: c.apply_template(HI),
        "chat_completion_completion_with_response_format": lambda c: (
            by_agent(c, response_format=schema({"type": "null"})),
            refused(lambda: chat(c, response_format={"type": "sound"}), (BAD, ValueError)),
        ),
        "chat_completion_completion_with_json_schema": lambda c: by_agent(
            c, json_schema={"type": "null"}
        ),
        "chat_completion_completion_with_grammar": lambda c: said(
            chat(c, grammar='root ::= "a"{5}')
        ) == "aaaaa",
        "chat_completion_completion_with_invalid_grammar": lambda c: refused(
            lambda: chat(c, grammar="root ::= a"), BAD
        ),
        "chat_completion_invalid_chat_completion_req": lambda c: [
            refused(lambda m=m: chat(c, m), (errors.LlamaServerError, TypeError, ValueError))
            for m in BAD_MESSAGES
        ],
        "chat_completion_chat_completion_with_timings_per_token": timed,
        "chat_completion_logit_bias": lambda c: said(chat(c, logit_bias={"5": -100})) is not None,
        "chat_completion_context_size_exceeded": filled,
        "chat_completion_context_size_exceeded_stream": lambda c: refused(
            lambda: list(c.chat_stream([{"role": "user", "content": LONG}])),
            LONGER,
        ),
        "chat_completion_return_progress": progress,
        "chat_completion_chat_completions_multiple_choices": lambda c: len(
            chat(c, n=2)["choices"]
        ) == 2,
        "chat_completion_chat_completions_token_count": lambda c: c.count_tokens(HI) > 5,
        "chat_completion_chat_template_continue_final_message_vllm_compat": lambda c: chat(
            c, [*HI, {"role": "assistant", "content": "Well"}],
            extra_body={"continue_final_message": True, "add_generation_prompt": False},
        ),
        "chat_completion_chat_template_continue_final_message_mutual_exclusion": lambda c: refused(
            lambda: chat(c, [*HI, {"role": "assistant", "content": "Well"}], extra_body={
                "continue_final_message": True, "add_generation_prompt": True}), BAD
        ),
        "ctx_shift_ctx_shift_disabled_short_prompt": lambda c: complete(c)["timings"],
        "ctx_shift_ctx_shift_disabled_long_prompt": lambda c: refused(
            lambda: complete(c, LONG), LONGER
        ),
        "ctx_shift_ctx_shift_disabled_stream": lambda c: parts(c)[-1]["stop_type"],
        "ignore_eos_ignore_eos_populates_logit_bias": lambda c: complete(c, ignore_eos=True)[
            "generation_settings"
        ]["logit_bias"],
        "ignore_eos_ignore_eos_false_no_logit_bias": lambda c: complete(c)[
            "generation_settings"
        ]["logit_bias"] == [],
        "metrics_metrics_prompt_processed_and_cached": lambda c: counted(
            c, "prompt_tokens_total", "prompt_n"
        ),
        "metrics_metrics_predicted_total_matches_requests": lambda c: counted(
            c, "tokens_predicted_total", "predicted_n"
        ),
        "metrics_metrics_generation_rate_excludes_first_token": lambda c: complete(c, n_predict=1)[
            "timings"
        ]["predicted_per_second"] == 0,
        "metrics_metrics_timings_are_finite": finite,
        "metrics_metrics_timings_on_prompt_progress": progress,
        "metrics_metrics_slots_idle_after_completion": lambda c: (complete(c), idle(c)),
        "security_access_public_endpoint": lambda c: with_key(c, None, False),
        "security_incorrect_api_key": lambda c: with_key(c, "wrong", False),
        "security_correct_api_key": lambda c: with_key(c, "right", True),
        "security_correct_api_key_anthropic_header": lambda c: LlamaClient(
            c.base_url, headers={"X-Api-Key": "right"}
        ).props(),
        "slot_save_slot_save_restore": slot_saved,
        "slot_save_slot_erase": slot_erased,
        "template_add_generation_prompt": lambda c: len(
            {c.apply_template(HI, add_generation_prompt=add) for add in (True, False)}
        ) == 2,
        "chat_completion_logprobs": logprobs,
        "chat_completion_logprobs_stream": logprobs,
        "chat_completion_verbose_debug": verbose,
        "completion_json_prompt_mtm_error_when_not_supported": lambda c: refused(
            lambda: pictured(c), errors.LlamaServerError
        ),
        "metrics_metrics_prometheus_format": exposed,
        "tokenize_tokenize_with_pieces": lambda c: raw(
            c, "/tokenize", content="Hi there", with_pieces=True
        )["tokens"][0]["piece"],
        "tokenize_tokenize_detokenize": lambda c: c.detokenize(c.tokenize("Hi there")).strip()
        == "Hi there",
        "tokenize_tokenize_with_bos": lambda c: len(c.tokenize("Hi", add_special=True))
        == len(c.tokenize("Hi")) + 1,
    },
    "forms": {
        **{
            f"compat_anthropic_anthropic_{name}": lambda c, given=given: message(c, **given)
            for name, given in {
                "messages_basic": {}, "messages_with_system": {"system": "Be brief."},
                "messages_multipart_content": {"messages": [user(
                    {"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}
                )]},
                "messages_conversation": {
                    "messages": [user("Hi"), {"role": "assistant", "content": "Yes?"}, user("So")]
                },
                "tool_use_basic": {"tools": [CLAUDE_TOOL]}, "tool_result": {"messages": called()},
                "tool_result_with_text": {"messages": [*called(), user("And?")]},
                "tool_result_error": {"messages": called(is_error=True)},
                "stop_sequences": {"stop_sequences": ["END"]}, "temperature": {"temperature": 0.5},
                "top_p": {"top_p": 0.9}, "top_k": {"top_k": 40}, "empty_messages": {"messages": ()},
                "thinking": {"thinking": {"type": "enabled", "budget_tokens": 50}},
                "metadata": {"metadata": {"user_id": "u"}},
            }.items()
        },
        "compat_anthropic_anthropic_messages_streaming": message_events,
        "compat_anthropic_anthropic_tool_streaming": lambda c: message_events(
            c, tools=[CLAUDE_TOOL]
        ),
        "compat_anthropic_anthropic_streaming_content_block_indices": message_events,
        "compat_anthropic_anthropic_count_tokens": counted_message,
        "compat_anthropic_anthropic_count_tokens_with_system": lambda c: counted_message(
            c, system="Be brief."
        ),
        "compat_anthropic_anthropic_count_tokens_no_max_tokens": counted_message,
        "compat_anthropic_anthropic_tool_result_with_image": lambda c: refused(
            lambda: message(c, called(content=[PICTURE])), errors.LlamaServerError
        ),
        "compat_anthropic_anthropic_vision_format_accepted": lambda c: refused(
            lambda: message(c, [user([PICTURE])]), errors.LlamaServerError
        ),
        "compat_anthropic_anthropic_missing_messages": lambda c: refused(
            lambda: raw(c, "/v1/messages", max_tokens=8), errors.LlamaServerError
        ),
        "compat_anthropic_anthropic_vs_openai_different_response_format": lambda c: message(c)
        and chat(c)["object"] == "chat.completion",
        "compat_anthropic_anthropic_thinking_history_in_count_tokens": thoughtful,
        "compat_anthropic_anthropic_thinking_history_in_template": thoughts_shown,
        "compat_oai_responses_responses_with_openai_library": lambda c: c.responses(
            HI, max_output_tokens=8
        )["output"][0]["id"].startswith("msg_"),
        "compat_oai_responses_responses_stream_with_openai_library": response_events,
        "compat_oai_responses_responses_stream_with_llama_telemetry": response_events,
    },
    "vision": {
        "compat_anthropic_anthropic_vision_base64_with_multimodal_model": lambda c: message(
            c, [user(PICTURE, {"type": "text", "text": "What?"})]
        ),
        "security_local_media_file": lambda c: refused(
            lambda: chat(c, [seen(c, "file:///etc/hostname")]), errors.LlamaServerError
        ),
        "vision_api_models_supports_multimodal_capability": lambda c: "multimodal" in c.request(
            "GET", "/models"
        )["models"][0]["capabilities"],
        "vision_api_v1_models_supports_multimodal_capability": lambda c: "multimodal" in c.request(
            "GET", "/v1/models"
        )["models"][0]["capabilities"],
        "vision_api_vision_chat_completion": lambda c: (
            chat(c, [seen(c)]),
            refused(lambda: chat(c, [seen(c, "malformed")]), errors.LlamaServerError),
        ),
        "vision_api_vision_chat_completion_token_count": lambda c: c.count_tokens([seen(c)]) > 10,
        "vision_api_vision_completion": pictured,
        "slot_save_slot_save_restore_text_only_on_multimodal": slot_saved,
        "slot_save_slot_save_restore_with_image": picture_saved,
        "slot_save_slot_save_restore_with_two_images": picture_saved,
    },
    "visionvectors": {
        "vision_api_vision_embeddings": lambda c: len(picture_vectors(c)) == 2,
        "vision_api_vision_embeddings_oai_content": lambda c: len(raw(c, "/v1/embeddings", input=[
            {"content": seen(c)["content"]}, "What?"
        ])["data"]) == 2,
    },
    "draftshift": {
        "speculative_with_ctx_shift": lambda c: complete(c, n_predict=400, ignore_eos=True)[
            "truncated"
        ],
    },
    "draft": {
        "speculative_with_and_without_draft": drafted,
        "speculative_different_draft_min_draft_max": lambda c: same(
            text(c, extra_body={"speculative.n_max": n}) for n in (1, 4, 8)
        ),
        "speculative_slot_ctx_not_exceeded": lambda c: complete(c, "a b " * 55, n_predict=64)[
            "content"
        ],
        "speculative_multi_requests_parallel": lambda c: parallel(c, 4),
    },
    "unified": {
        "completion_completion_unified": lambda c: parallel(c, 4),
        "completion_completion_prompt_cache": lambda c: [
            complete(c, f" Hello {i % 3}" * (20 + i)) for i in range(8)
        ],
        "completion_consistent_result_different_batch_size": lambda c: same(
            text(c, cache_prompt=False) for _ in range(4)
        ),
    },
    "plain": {
        "metrics_metrics_disabled": lambda c: refused(c.metrics, errors.LlamaNotSupportedError),
    },
    "shift": {
        "ctx_shift_ctx_shift_enabled": lambda c: complete(c, n_predict=400, ignore_eos=True)[
            "truncated"
        ],
    },
    "infill": {
        "infill_infill_without_input_extra": lambda c: c.infill("a", "b", n_predict=4)["timings"],
        "infill_infill_with_input_extra": lambda c: c.infill(
            "a", "b", extra=[{"filename": "f", "text": "x"}], n_predict=4
        )["timings"],
        "infill_invalid_input_extra_req": lambda c: [
            refused(lambda e=e: c.infill("a", "b", extra=[e]), (BAD, TypeError, ValueError))
            for e in ({}, {"filename": "ok"}, {"filename": 1, "text": "abc"})
        ],
    },
    "lora": {"lora_lora": lora_all, "lora_lora_per_request": lora_each},
    "embedding": {
        "embedding_embedding_single": unit,
        "embedding_embedding_multiple": unit,
        "embedding_embedding_pooling_mean": unit,
        "embedding_embedding_pooling_mean_multiple": unit,
        "embedding_same_prompt_give_same_result": unit,
        "embedding_embedding_error_prompt_too_long": lambda c: refused(
            lambda: c.embed(LONG), errors.LlamaServerError
        ),
        "embedding_embedding_mixed_input": inputs,
        "embedding_embedding_invalid_input": lambda c: refused(
            lambda: raw(c, "/v1/embeddings", input=[{"role": "user"}]), BAD
        ),
        "embedding_embedding_content_text_same_as_string": lambda c: same(
            raw(c, "/v1/embeddings", input=one)["data"][0]["embedding"]
            for one in ("Hi", {"content": [{"type": "text", "text": "Hi"}]})
        ),
        "embedding_embedding_usage_single": lambda c: used(c, "/v1/embeddings", input="Hi"),
        "embedding_embedding_usage_multiple": lambda c: used(c, "/v1/embeddings", input=["a", "b"]),
        "embedding_embedding_invalid_request": lambda c: refused(lambda: c.embed([]), BAD),
        "metrics_metrics_embedding_prompt_is_counted": lambda c: (
            c.embed("hello"), c.metrics()["llamacpp:prompt_tokens_total"],
        )[1] > 0,
    },
    "vectors": {
        "embedding_embedding_pooling_none": lambda c: len(
            raw(c, "/embeddings", input="hello hello")[0]["embedding"]
        ) > 1,
        "embedding_embedding_pooling_none_oai": lambda c: refused(lambda: c.embed("hello"), BAD),
    },
    "rerank": {
        "rerank_rerank_usage": lambda c: used(c, "/rerank", query="a", documents=["b", "c"]),
        "rerank_rerank_tei_format": lambda c: len(raw(c, "/rerank", query="a", texts=["b", "c"]))
        == 2,
        "rerank_rerank_tei_top_n": lambda c: len(
            raw(c, "/rerank", query="a", texts=["b", "c"], top_n=1)
        ) == 1,
        "rerank_rerank": lambda c: len(c.rerank("a", ["b", "c", "d"])) == 3,
        "rerank_rerank_top_n": lambda c: len(c.rerank("a", ["b", "c", "d"], top_n=2)) == 2,
        "rerank_invalid_rerank_req": lambda c: refused(lambda: c.rerank("a", []), BAD),
    },
    "sleep": {
        "sleep_server_sleep": slept,
        "sleep_server_sleep_read_only_endpoints": slept,
        "sleep_server_sleep_metrics_buckets": lambda c: (complete(c), slept(c), c.metrics()) and (
            c.metrics()["llamacpp:predicted_tokens_seconds"] == 0
        ),
        "sleep_server_sleep_token_counting_wake": woken,
    },
    "router": {
        "router_router_props": lambda c: c.props()["role"] == "router",
        "router_router_unload_model": unloaded,
        "router_router_models_max_evicts_lru": evicted,
        "router_router_chat_completion_stream": lambda c: (
            c.load_model("one"), chunks(c, model="one"),
        ),
        "router_router_download_model": lambda c: c.add_model("nobody/nothing-GGUF"),
        "stream_stream_resume_and_stop_with_slashed_model_name": resumed,
        "router_router_api_key_required": lambda c: refused(
            LlamaClient(c.base_url, api_key="wrong", retries=0).models,
            errors.LlamaAuthenticationError,
        ),
        "router_router_no_models_autoload": lambda c: (
            refused(lambda: chat(c, model="two"), BAD), c.load_model("two"), chat(c, model="two"),
        ),
    },
}  # fmt: skip
"""Server -> upstream's tests that need it, by file and name, and the call that stands for each."""


@contextlib.contextmanager
def started(kind: str, folder: Path) -> Iterator[LlamaClient]:
    """A server for the rows of ``kind``."""
    model: Any = {"embedding": "bert", "vectors": "bert", "rerank": "rerank"}.get(kind, "llama")
    path = tiny.make(model, folder, facts={"context_length": 4096} if kind == "forms" else {})
    everyone: dict[str, dict[str, Any]] = {
        "chat": {"parallel": 2, "metrics": True, "slot_save_path": str(folder), "alias": "mine",
                 "tags": "big,new"},
        "shift": {"context_shift": True, "parallel": 1},
        "embedding": {"embedding": True, "metrics": True},
        "rerank": {"reranking": True},
        "vectors": {"embedding": True, "pooling": "none"},
        "sleep": {"sleep_idle_seconds": 1, "metrics": True},
        "router": {"models_autoload": False, "models_max": 1, "offline": True},
        "forms": {"chat_template_file": TEMPLATE, "parallel": 1, "ctx_size": 4096},
        "vision": {"parallel": 2, "slot_save_path": str(folder), "ctx_size": 2048},
        "draft": {"spec_draft_model": path, "spec_type": "draft-simple", "parallel": 2},
        "visionvectors": {"embedding": True, "pooling": "mean", "ctx_size": 2048},
        "draftshift": {"spec_draft_model": path, "spec_type": "draft-simple", "parallel": 1,
                       "context_shift": True},
        "unified": {"parallel": 4, "kv_unified": True, "batch_size": 64, "ctx_size": 1024},
    }  # fmt: skip
    options = everyone.get(kind, {})
    if kind.startswith("vision"):
        options["mmproj"] = tiny_mmproj.make(folder)
    if kind == "lora":
        options = {"lora": str(write_lora(folder / "lora.gguf")), "parallel": 4}
    if kind in ("chat", "plain", "lora", "infill", "shift", "draft", "draftshift"):
        options |= {"ctx_size": 256 * options.get("parallel", 2)}
    what: Any = {"one": path, "two": path} if kind == "router" else path
    with (
        LlamaServer(what, api_key="right", threads=1, **options) as server,
        server.client() as client,
    ):
        yield client


def tests() -> list[str]:
    """Upstream's tests by file and name."""
    folder = source.resolve().root / "tools" / "server" / "tests" / "unit"
    return [
        f"{path.stem.removeprefix('test_')}_{node.name.removeprefix('test_')}"
        for path in sorted(folder.glob("test_*.py"))
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def reason(test: str) -> str | None:
    """Why a test is not a row."""
    for part, why in REASONS.items():
        if test.startswith(f"{part.removeprefix('test_')}_") or part in test:
            return why
    return None


def main() -> int:
    known, failed, passed = tests(), 0, 0
    for kind, rows in ROWS.items():
        with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
            try:
                with started(kind, Path(folder)) as client:
                    for name, row in rows.items():
                        try:
                            assert row(client) is not False, "not so"
                            passed += 1
                        except Exception as error:
                            failed += 1
                            print(f"FAILED {kind}: {name}: {type(error).__name__}: {error}"[:300])
            except errors.LlamaError as error:
                failed += len(rows)
                print(f"FAILED {kind}: {error}"[:600])
    done = {name for rows in ROWS.values() for name in rows}
    why = Counter(reason(name) or "" for name in known if name not in done)
    missing = [name for name in known if name not in done and reason(name) is None]
    gone = sorted(done - {*known})
    for text, count in why.most_common():
        if text:
            print(f"{count:4} not reachable: {text}")
    for name in (*missing, *gone):
        print(f"{'not known' if name in missing else 'not upstream'}: {name}")
    unreachable = sum(why.values()) - len(missing)
    print(
        f"{len(known)} tests: {passed} pass, {failed} fail, {unreachable} not reachable, "
        f"{len(missing)} not known"
    )
    return 1 if failed or missing or gone else 0


if __name__ == "__main__":
    sys.exit(main())
