"""Models and their files: vocabulary, devices, adapters, quantizing, the Hugging Face Hub."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "control_vector": "LlamaControlVector",
        "device": "LlamaDevice devices",
        "hub": "fetch resolve",
        "model": "LlamaLora LlamaModel",
        "params": "LlamaModelParams",
        "quantizing": "quantize",
        "text": "StreamDecoder",
        "vocab": "LlamaVocab",
    },
)
