"""The public names of `llama_cpp.engine`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .archive import unpack as unpack
from .building import build as build
from .command import main as main
from .downloads import download as download
from .downloads import sha256_of as sha256_of
from .find import EngineInfo as EngineInfo
from .find import cache_root as cache_root
from .find import cpu_features as cpu_features
from .find import engine_dir as engine_dir
from .find import engine_folder as engine_folder
from .find import engine_info as engine_info
from .publish import locked as locked
from .releases import install_release as install_release
from .releases import release_asset as release_asset
# seal: any sha256:3c1437d0ddd37e488c219f34c53dfb4c5d4baf420bdcc5eaa8851ddccceec51f
