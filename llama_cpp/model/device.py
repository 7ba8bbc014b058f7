"""The devices that a library computes on: processors and graphics cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import Array, c_size_t
from typing import Any, Final, TypeVar

from .. import _raw
from .._display import Displayed, Sheet, facts, size
from ..native import remote as _rpc
from ..native.arguments import check_type
from ..native.library import LlamaLibrary
from ._getters import DeviceGetters

T = TypeVar("T")

_KIND = _raw.ggml_backend_dev_type_enum


class LlamaDevice(Displayed, DeviceGetters):
    """A device that a library knows. From `devices`; for ``LlamaModel.from_file(devices=...)``."""

    def __init__(self, library: LlamaLibrary, handle: _raw.ggml_backend_device) -> None:
        """Programs call `devices`."""
        check_type(library, LlamaLibrary)
        check_type(handle, _raw.ggml_backend_device)
        self._library = library
        self.library: Final = library
        """The device's library."""
        self._handle = handle

    @property
    def endpoint(self) -> str | None:
        """The device's RPC server, as ``192.0.2.7:50052``; None for a device of this machine."""
        return _rpc.endpoint_of(self._handle)

    @property
    def memory_free(self) -> int:
        """The free bytes now, if the backend knows. C: ``ggml_backend_dev_memory``."""
        return self._memory()[0]

    @property
    def memory_total(self) -> int:
        """All of its bytes. C: ``ggml_backend_dev_memory``."""
        return self._memory()[1]

    def _memory(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        ask = self._library.ggml_backend_dev_memory
        self._reach(lambda: ask(self._handle, free, total))
        return free.value, total.value

    def _reach(self, call: Callable[[], T]) -> T:
        """The result of ``call``. Raises LlamaRpcError if the device's server is gone."""
        endpoint = self.endpoint
        if endpoint is None:
            return call()
        return _rpc.reach(self._library, call, endpoints=[endpoint])

    @property
    def buffer_type(self) -> str:
        """The kind of memory for weights on it, for ``LlamaModel.from_file`` with
        ``tensor_buft_overrides``. C: ``ggml_backend_dev_buffer_type``."""
        name = self._library.short.ggml_backend_buft_name(self._buffer_type())
        return (name or b"").decode("utf-8", "replace")

    def _buffer_type(self) -> _raw.ggml_backend_buffer_type | None:
        ask = self._library.ggml_backend_dev_buffer_type
        return self._reach(lambda: ask(self._handle))

    def __repr__(self) -> str:
        kind = self.type.name.removeprefix("GGML_BACKEND_DEVICE_TYPE_")
        return f"<LlamaDevice {self.name!r}, {kind}, {self.description}>"

    def _display(self) -> Sheet:
        free, total = self._memory()
        memory = f"{size(free)} of {size(total)} free" if total else None
        rows = {"name": self.name, "description": self.description, "memory": memory}
        return facts({**rows, "server": self.endpoint})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LlamaDevice):
            return NotImplemented
        return (self._library.path, self.name) == (other._library.path, other.name)

    def __hash__(self) -> int:
        return hash((self._library.path, self.name))


def devices(library: LlamaLibrary | None = None) -> list[LlamaDevice]:
    """The devices of ``library`` (or the default one), including its CPU.

    Backends in separate files are loaded first. Devices of RPC servers come last, while a model is
    loaded on them (``LlamaModel.from_file(rpc_servers=...)``).
    C: ``ggml_backend_dev_get``.
    """
    library = LlamaLibrary.chosen(library)
    calls = library.short
    found = (calls.ggml_backend_dev_get(i) for i in range(calls.ggml_backend_dev_count()))
    handles = [handle for handle in found if handle is not None]
    return [LlamaDevice(library, handle) for handle in handles + _rpc.known_handles(library)]


def chosen_devices(
    library: LlamaLibrary, given: Sequence[LlamaDevice | str] | None, servers: Sequence[str] | None
) -> list[LlamaDevice] | None:
    """The devices for a model: those of the RPC ``servers``, then those in ``given``. None means
    the library's own choice. The CPU is left out: the library always uses it, and accepts only
    other devices, or an empty list."""
    if servers is None:
        return None if given is None else _chosen(library, given)
    found = [LlamaDevice(library, handle) for handle in _rpc.rpc_handles(library, servers)]
    chosen = _own(library) if given is None else _chosen(library, given)
    return found + [device for device in chosen if device not in found]


def _own(library: LlamaLibrary) -> list[LlamaDevice]:
    """The library's own choice: graphics cards, each with its first backend; without any, those
    with the CPU's memory, of one backend."""
    cards: dict[object, LlamaDevice] = {}
    shared: list[LlamaDevice] = []
    for device in devices(library):
        if device.endpoint is not None:
            continue
        if device.type == _KIND.GGML_BACKEND_DEVICE_TYPE_GPU:
            props = _raw.ggml_backend_dev_props()
            library.short.ggml_backend_dev_get_props(device._handle, props)
            cards.setdefault(props.device_id or device.name, device)
        elif device.type == _KIND.GGML_BACKEND_DEVICE_TYPE_IGPU:
            shared.append(device)
    backend = library.short.ggml_backend_dev_backend_reg
    regs = [getattr(backend(device._handle), "value", None) for device in shared]
    one = [device for device, reg in zip(shared, regs, strict=True) if reg == regs[0]]
    return list(cards.values()) or one


def _chosen(library: LlamaLibrary, given: Sequence[LlamaDevice | str]) -> list[LlamaDevice]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"devices must be a list of devices or names, not {given!r}")
    known = {device.name: device for device in devices(library)}
    chosen: list[LlamaDevice] = []
    for one in given:
        if isinstance(one, LlamaDevice):
            if one.library.path != library.path:
                raise ValueError(f"{one!r} is of another library: {one.library.path}")
            device = one
        elif isinstance(one, str):
            if one not in known:
                raise ValueError(f"there is no device {one!r}; there are {', '.join(known)}")
            device = known[one]
        else:
            raise TypeError(f"devices must be LlamaDevice or names, not {one!r}")
        if device in chosen:
            raise ValueError(f"devices has {device.name!r} twice")
        chosen.append(device)
    return [device for device in chosen if device.type != _KIND.GGML_BACKEND_DEVICE_TYPE_CPU]


def device_array(library: LlamaLibrary, chosen: Sequence[LlamaDevice]) -> Array[Any]:
    """``chosen`` as a C array: handles, and NULL at the end."""
    handles = [device._handle for device in chosen]
    most = int(library.short.llama_max_devices())
    if len(handles) > most:
        raise ValueError(f"{len(handles)} devices: the library takes {most} at most")
    return (_raw.ggml_backend_device * (len(handles) + 1))(*handles)
