"""libllama seen from Python: finding and checking it, calling it safely, its log and its memory."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(__name__, {"library": "LlamaLibrary"})
