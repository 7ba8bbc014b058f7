"""The public names of `llama_cpp.engine`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .building import build as build
from .command import main as main
from .find import EngineInfo as EngineInfo
from .find import cpu_features as cpu_features
from .find import engine_dir as engine_dir
from .find import engine_folder as engine_folder
from .find import engine_info as engine_info
from .releases import install_release as install_release
from .releases import release_asset as release_asset
# seal: b11434 sha256:1f8f42cd50b902549f1481a992f43b53b4d142463df73767ca620efbee66cb07
