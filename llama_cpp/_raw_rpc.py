"""The C API of libggml-rpc of llama.cpp: types, constants and functions under their C names.

Generated from ggml-rpc.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.

Importing this needs neither a library nor anything outside the standard library. A function looks
itself up in the default library when it is first called, and that in libggml-rpc beside it.
"""

from ctypes import CFUNCTYPE, POINTER, Structure, Union
from ctypes import (
    c_bool,
    c_byte,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int16,
    c_int32,
    c_int64,
    c_int8,
    c_longlong,
    c_short,
    c_size_t,
    c_ssize_t,
    c_ubyte,
    c_uint,
    c_uint16,
    c_uint32,
    c_uint64,
    c_uint8,
    c_ulonglong,
    c_ushort,
    c_void_p,
)

from ._raw import (
    TAG,
    Function,
    _Made,
    _explain,
    _names,
    _signatures,
    _value,
    ggml_backend,
    ggml_backend_buffer_type,
    ggml_backend_buffer_type_t,
    ggml_backend_dev_t,
    ggml_backend_device,
    ggml_backend_reg,
    ggml_backend_reg_t,
    ggml_backend_t,
)

LIBRARY = "ggml-rpc"

# Constants
RPC_PROTO_MAJOR_VERSION = 8
RPC_PROTO_MINOR_VERSION = 0
RPC_PROTO_PATCH_VERSION = 0
GGML_RPC_MAX_SERVERS = 16

# Enumerations. Their constants also stand in the module, as in C. Each is made when one of its
# names is first asked for, because making all would take longer than importing all the rest.
_ENUMS = {}


# Handles: pointers to what only the library can look into. Each is a type of its own, so that
# ctypes refuses one kind where another belongs.

# Structs. Their fields follow below, because they refer to each other.

# Other names for types, and the types of callbacks


# Deprecated function -> what replaces it, None where the header does not say
DEPRECATED = {}

# Header -> its functions: the result and the parameters of each. They are text, evaluated when
# first asked for, because compiling them would take longer than importing all the rest.
_SIGNATURES = {
    "ggml-rpc.h": """
ggml_backend_rpc_init: ggml_backend_t, c_char_p, c_uint32,
ggml_backend_is_rpc: c_bool, ggml_backend_t,
ggml_backend_rpc_buffer_type: ggml_backend_buffer_type_t, c_char_p, c_uint32,
ggml_backend_rpc_get_device_memory: None, c_char_p, c_uint32, POINTER(c_size_t), POINTER(c_size_t),
ggml_backend_rpc_start_server: None, c_char_p, c_char_p, c_size_t, c_size_t, POINTER(ggml_backend_dev_t),
ggml_backend_rpc_reg: ggml_backend_reg_t,
ggml_backend_rpc_add_server: ggml_backend_reg_t, c_char_p,
""",
}
FUNCTIONS = _Made(
    _signatures("".join(_SIGNATURES.values())), lambda line: Function(line, globals())
)
HEADERS = _Made(_SIGNATURES, lambda text: tuple(map(FUNCTIONS.get, _signatures(text))))

for _type in ():
    _explain(_type)

# Function -> the values that it returns: the default parameters
DEFAULTS = {}

# What the headers define beyond that, with the reason why it is not here
LEFT_OUT = {}


def __getattr__(name):
    return _value(name, globals())


def __dir__():
    return _names(globals())
# seal: b11549 sha256:b9943bc2ff5445f6d8e99d0c6c1c3b40cc69bedd52174ef3a0fd3ad77c503bde
