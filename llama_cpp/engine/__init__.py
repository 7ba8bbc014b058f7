"""The source of libllama: the engine of a tag, in the user's cache.

It is installed from the official release binaries, or built from a llama.cpp source tree with
cmake and ninja. One relocatable folder has the libraries and the programs: `<cache>/<tag>/engine/`,
with their origin in `engine.json`. An engine with a GPU backend has its own folder, such as
`engine-vulkan`, and is preferred.

    python -m llama_cpp.engine install --tag b11549 [--source DIR]
    python -m llama_cpp.engine where --tag b11549
"""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "archive": "unpack",
        "building": "build",
        "command": "main",
        "downloads": "download sha256_of",
        "find": "EngineInfo cache_root cpu_features engine_dir engine_folder engine_info",
        "publish": "locked",
        "releases": "install_release release_asset",
    },
)
