"""The C API of libllama of llama.cpp: types, constants and functions under their C names.

Generated from llama-ext.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.

Importing this needs neither a library nor anything outside the standard library. A function looks
itself up in the default library when it is first called.

Unstable: upstream changes these functions without notice, and they may be gone with the next tag.
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
    ggml_backend_dev_t,
    ggml_backend_device,
    ggml_cgraph,
    ggml_tensor,
    ggml_type,
    llama_batch_ext,
    llama_context,
    llama_ftype,
    llama_model,
    llama_model_quantize_params,
)

LIBRARY = "llama"


# Enumerations. Their constants also stand in the module, as in C. Each is made when one of its
# names is first asked for, because making all would take longer than importing all the rest.
_ENUMS = {
    ("llama_decision_order", "IntEnum"): {
        "LLAMA_DECISION_ORDER_NONE": 0,
        "LLAMA_DECISION_ORDER_QUESTION_NOUL": 1,
        "LLAMA_DECISION_ORDER_QUESTION_CHOICE": 2,
        "LLAMA_DECISION_ORDER_QUESTION_SCORE": 3,
        "LLAMA_DECISION_ORDER_OPTION": 4,
    },
}


# Handles: pointers to what only the library can look into. Each is a type of its own, so that
# ctypes refuses one kind where another belongs.
class quantize_state_impl(c_void_p): ...


# Structs. Their fields follow below, because they refer to each other.
class llama_quant_model_desc(Structure): ...


class llama_memory_breakdown_data(Structure): ...


class llama_device_memory_data(Structure): ...


# Other names for types, and the types of callbacks

# Fields
llama_quant_model_desc._fields_ = (
    ("architecture", c_char_p),
    ("n_embd", c_uint32),
    ("n_ff", c_uint32),
    ("n_layer", c_uint32),
    ("n_head", c_uint32),
    ("n_head_kv", c_uint32),
    ("n_expert", c_uint32),
    ("n_embd_head_k", c_uint32),
    ("n_embd_head_v", c_uint32),
)
llama_memory_breakdown_data._fields_ = (
    ("model", c_size_t),
    ("context", c_size_t),
    ("compute", c_size_t),
)
llama_device_memory_data._fields_ = (
    ("total", c_int64),
    ("free", c_int64),
    ("mb", llama_memory_breakdown_data),
)


# Deprecated function -> what replaces it, None where the header does not say
DEPRECATED = {}

# Header -> its functions: the result and the parameters of each. They are text, evaluated when
# first asked for, because compiling them would take longer than importing all the rest.
_SIGNATURES = {
    "llama-ext.h": """
llama_graph_reserve _Z19llama_graph_reserveP13llama_contextjjj ?llama_graph_reserve@@YAPEAUggml_cgraph@@PEAUllama_context@@III@Z: ggml_cgraph, llama_context, c_uint32, c_uint32, c_uint32,
llama_ftype_get_default_type _Z28llama_ftype_get_default_type11llama_ftype ?llama_ftype_get_default_type@@YA?AW4ggml_type@@W4llama_ftype@@@Z: c_int, c_int,
llama_quant_init _Z16llama_quant_initPK11llama_modelPK27llama_model_quantize_params ?llama_quant_init@@YAPEAUquantize_state_impl@@PEBUllama_model@@PEBUllama_model_quantize_params@@@Z: quantize_state_impl, llama_model, POINTER(llama_model_quantize_params),
llama_quant_free _Z16llama_quant_freeP19quantize_state_impl ?llama_quant_free@@YAXPEAUquantize_state_impl@@@Z: None, quantize_state_impl,
llama_quant_model_from_metadata _Z31llama_quant_model_from_metadataPK22llama_quant_model_desc ?llama_quant_model_from_metadata@@YAPEAUllama_model@@PEBUllama_quant_model_desc@@@Z: llama_model, POINTER(llama_quant_model_desc),
llama_quant_tensor_allows_quantization _Z38llama_quant_tensor_allows_quantizationPK19quantize_state_implPK11ggml_tensor ?llama_quant_tensor_allows_quantization@@YA_NPEBUquantize_state_impl@@PEBUggml_tensor@@@Z: c_bool, quantize_state_impl, POINTER(ggml_tensor),
llama_quant_compute_types _Z25llama_quant_compute_typesP19quantize_state_impl11llama_ftypePP11ggml_tensorP9ggml_typem ?llama_quant_compute_types@@YAXPEAUquantize_state_impl@@W4llama_ftype@@PEAPEAUggml_tensor@@PEAW4ggml_type@@_K@Z: None, quantize_state_impl, c_int, POINTER(POINTER(ggml_tensor)), POINTER(c_int), c_size_t,
llama_model_n_expert _Z20llama_model_n_expertPK11llama_model ?llama_model_n_expert@@YAHPEBUllama_model@@@Z: c_int32, llama_model,
llama_model_n_devices _Z21llama_model_n_devicesPK11llama_model ?llama_model_n_devices@@YAHPEBUllama_model@@@Z: c_int32, llama_model,
llama_model_get_device _Z22llama_model_get_devicePK11llama_modeli ?llama_model_get_device@@YAPEAUggml_backend_device@@PEBUllama_model@@H@Z: ggml_backend_dev_t, llama_model, c_int,
llama_set_embeddings_nextn _Z26llama_set_embeddings_nextnP13llama_contextbb ?llama_set_embeddings_nextn@@YAXPEAUllama_context@@_N1@Z: None, llama_context, c_bool, c_bool,
llama_set_nextn_layer_offset _Z28llama_set_nextn_layer_offsetP13llama_contexti ?llama_set_nextn_layer_offset@@YAXPEAUllama_context@@H@Z: None, llama_context, c_int32,
llama_batch_ext_set_decision_order _Z34llama_batch_ext_set_decision_orderP15llama_batch_exti20llama_decision_order ?llama_batch_ext_set_decision_order@@YA_NPEAUllama_batch_ext@@HW4llama_decision_order@@@Z: c_bool, llama_batch_ext, c_int32, c_int,
llama_get_embeddings_nextn _Z26llama_get_embeddings_nextnP13llama_context ?llama_get_embeddings_nextn@@YAPEAMPEAUllama_context@@@Z: POINTER(c_float), llama_context,
llama_get_embeddings_nextn_ith _Z30llama_get_embeddings_nextn_ithP13llama_contexti ?llama_get_embeddings_nextn_ith@@YAPEAMPEAUllama_context@@H@Z: POINTER(c_float), llama_context, c_int32,
llama_set_embeddings_layer_inp _Z30llama_set_embeddings_layer_inpP13llama_contextjb ?llama_set_embeddings_layer_inp@@YAXPEAUllama_context@@I_N@Z: None, llama_context, c_uint32, c_bool,
llama_get_embeddings_layer_inp _Z30llama_get_embeddings_layer_inpP13llama_contextj ?llama_get_embeddings_layer_inp@@YAPEAMPEAUllama_context@@I@Z: POINTER(c_float), llama_context, c_uint32,
llama_get_ctx_other _Z19llama_get_ctx_otherP13llama_context ?llama_get_ctx_other@@YAPEAUllama_context@@PEAU1@@Z: llama_context, llama_context,
llama_model_dflash_selector_top_k _Z33llama_model_dflash_selector_top_kPK11llama_model ?llama_model_dflash_selector_top_k@@YAHPEBUllama_model@@@Z: c_int32, llama_model,
llama_model_target_layer_ids _Z28llama_model_target_layer_idsPK11llama_model ?llama_model_target_layer_ids@@YAPEBHPEBUllama_model@@@Z: POINTER(c_int32), llama_model,
llama_model_target_layer_ids_n _Z30llama_model_target_layer_ids_nPK11llama_model ?llama_model_target_layer_ids_n@@YAIPEBUllama_model@@@Z: c_uint32, llama_model,
llama_model_get_tok_embd _Z24llama_model_get_tok_embdPK11llama_modelPf ?llama_model_get_tok_embd@@YAIPEBUllama_model@@PEAM@Z: c_uint32, llama_model, POINTER(c_float),
""",
}
FUNCTIONS = _Made(
    _signatures("".join(_SIGNATURES.values())), lambda line: Function(line, globals())
)
HEADERS = _Made(_SIGNATURES, lambda text: tuple(map(FUNCTIONS.get, _signatures(text))))

for _type in (
    llama_quant_model_desc,
    llama_memory_breakdown_data,
    llama_device_memory_data,
):
    _explain(_type)

# Function -> the values that it returns: the default parameters
DEFAULTS = {}

# What the headers define beyond that, with the reason why it is not here
LEFT_OUT = {
    "llama_memory_breakdown": "llama-ext.h: 'std::map<ggml_backend_buffer_type_t, llama_memory_breakdown_data>' is a class of C++",
    "llama_get_memory_breakdown": "llama-ext.h: has llama_memory_breakdown, which is left out",
}


def __getattr__(name):
    return _value(name, globals())


def __dir__():
    return _names(globals())
# seal: b11549 sha256:292c84b1e624880f49ddb5cdc5c19eb679f7dd0c0d67cabac2f95b789e49a15b
