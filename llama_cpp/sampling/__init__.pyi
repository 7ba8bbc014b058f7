"""The public names of `llama_cpp.sampling`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .chain import LlamaSampler as LlamaSampler
from .chain import SamplerPerf as SamplerPerf
from .custom import CustomSampler as CustomSampler
from .custom import LlamaCandidates as LlamaCandidates
# seal: b11434 sha256:ec7bba1e0c184e1cb0a4125c12da986f343624521f0d58a49c52433d22edba83
