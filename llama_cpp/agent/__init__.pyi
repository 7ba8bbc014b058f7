"""The public names of `llama_cpp.agent`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .agent import LlamaAgent as LlamaAgent
from .async_agent import AsyncLlamaAgent as AsyncLlamaAgent
from .events import Done as Done
from .events import PromptProgress as PromptProgress
from .events import ReasoningDelta as ReasoningDelta
from .events import Retry as Retry
from .events import RunResult as RunResult
from .events import Step as Step
from .events import TextDelta as TextDelta
from .events import ToolCallDelta as ToolCallDelta
from .events import ToolCallFinished as ToolCallFinished
from .events import ToolCallStarted as ToolCallStarted
from .tools import Deny as Deny
from .tools import Replace as Replace
from .tools import Tool as Tool
from .tools import ToolCall as ToolCall
from .tools import tool as tool
# seal: b11434 sha256:28fa7d81afc5bbc72fce4d63dafd6c51058c2c376420f6dd4c8a075fc976779d
