"""Agents on llama-server: tool calls, typed answers, events."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "agent": "LlamaAgent",
        "async_agent": "AsyncLlamaAgent",
        "events": (
            "Done PromptProgress ReasoningDelta Retry RunResult Step TextDelta ToolCallDelta "
            "ToolCallFinished ToolCallStarted"
        ),
        "tools": "Deny Replace Tool ToolCall tool",
    },
)
