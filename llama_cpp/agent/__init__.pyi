"""The public names of `llama_cpp.agent`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .agent import AsyncLlamaAgent as AsyncLlamaAgent
from .agent import LlamaAgent as LlamaAgent
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
from .server import LlamaServer as LlamaServer
from .tools import Deny as Deny
from .tools import Replace as Replace
from .tools import Tool as Tool
from .tools import ToolCall as ToolCall
from .tools import tool as tool
# seal: any sha256:ce7af9d28393b5c1430d78dc6b4084276c1903149c26bed9ffc5263b071363d9
