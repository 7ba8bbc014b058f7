"""Agents on llama-server: tool calls, typed answers, events; and a llama-server of one's own."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "agent": "AsyncLlamaAgent LlamaAgent",
        "context": "Limits RunContext",
        "events": (
            "Done PartialOutput PromptProgress ReasoningDelta Retry RunResult Step TextDelta "
            "ToolCallDelta ToolCallFinished ToolCallStarted"
        ),
        "mcp": "McpServer",
        "server": "LlamaServer",
        "tools": "Deny Replace Tool ToolCall Wait tool",
    },
)
