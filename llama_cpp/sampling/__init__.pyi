"""The public names of `llama_cpp.sampling`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .chain import LlamaSampler as LlamaSampler
from .chain import SamplerPerf as SamplerPerf
from .custom import CustomSampler as CustomSampler
from .custom import LlamaCandidates as LlamaCandidates
# seal: any sha256:8e504fc35c63a61096439e17cf84ee1c7684b52e3929a9d47b5df88db54cdac1
