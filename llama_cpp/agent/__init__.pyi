"""The public names of `llama_cpp.agent`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .agent import AsyncLlamaAgent as AsyncLlamaAgent
from .agent import LlamaAgent as LlamaAgent
from .context import Limits as Limits
from .context import RunContext as RunContext
from .events import Done as Done
from .events import PartialOutput as PartialOutput
from .events import PromptProgress as PromptProgress
from .events import ReasoningDelta as ReasoningDelta
from .events import Retry as Retry
from .events import RunResult as RunResult
from .events import Step as Step
from .events import TextDelta as TextDelta
from .events import ToolCallDelta as ToolCallDelta
from .events import ToolCallFinished as ToolCallFinished
from .events import ToolCallStarted as ToolCallStarted
from .mcp import McpServer as McpServer
from .server import LlamaServer as LlamaServer
from .tools import Deny as Deny
from .tools import Replace as Replace
from .tools import Tool as Tool
from .tools import ToolCall as ToolCall
from .tools import Wait as Wait
from .tools import tool as tool
# seal: any sha256:ab2ce162fe5d36297f752e81fa2907fe7687f099e2a9231d19eeed950041bd56
