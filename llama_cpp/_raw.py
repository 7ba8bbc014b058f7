"""The C API of llama.cpp: types, constants and functions under their C names.

Generated from ggml.h, ggml-alloc.h, ggml-backend.h, ggml-cpu.h, ggml-opt.h, gguf.h, llama.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.

Importing this needs neither a library nor anything outside the standard library. A function looks
itself up in the default library when it is first called.

C keeps the names of types and functions apart, Python does not. Where one name stands for both,
the function keeps it and the type is called:
    ggml_backend_dev_type_enum  (enum ggml_backend_dev_type)
    llama_vocab_type_enum  (enum llama_vocab_type)
    llama_pooling_type_enum  (enum llama_pooling_type)
    ggml_backend_graph_copy_struct  (struct ggml_backend_graph_copy)
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping

TYPE_CHECKING = False  # to import it from typing would take a quarter of the time of all this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ctypes import CDLL
    from typing import Any
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
    sizeof,
)

if sizeof(c_void_p) != 8:
    raise ImportError("llama_cpp: the bindings are for 64-bit Python; this one is 32-bit")

TAG = "b11549"
LIBRARY = "llama"

# Constants
GGML_TENSOR_SIZE = 336
GGML_FILE_MAGIC = 1734831468
GGML_FILE_VERSION = 2
GGML_QNT_VERSION = 2
GGML_QNT_VERSION_FACTOR = 1000
GGML_MAX_DIMS = 4
GGML_MAX_PARAMS = 2048
GGML_MAX_SRC = 10
GGML_MAX_N_THREADS = 512
GGML_MAX_OP_PARAMS = 64
GGML_MAX_NAME = 64
GGML_DEFAULT_N_THREADS = 4
GGML_DEFAULT_GRAPH_SIZE = 2048
GGML_MEM_ALIGN = 16
GGML_EXIT_SUCCESS = 0
GGML_EXIT_ABORTED = 1
GGML_ROPE_TYPE_NORMAL = 0
GGML_ROPE_TYPE_NEOX = 2
GGML_ROPE_TYPE_MROPE = 8
GGML_ROPE_TYPE_VISION = 24
GGML_ROPE_TYPE_IMROPE = 40
GGML_MROPE_SECTIONS = 4
GGML_N_TASKS_MAX = -1
GGML_BACKEND_META_MAX_DEVICES = 16
GGUF_MAGIC = "GGUF"
GGUF_VERSION = 3
GGUF_KEY_GENERAL_ALIGNMENT = "general.alignment"
GGUF_DEFAULT_ALIGNMENT = 32
LLAMA_DEFAULT_SEED = 4294967295
LLAMA_TOKEN_NULL = -1
LLAMA_FILE_MAGIC_GGLA = 1734831201
LLAMA_FILE_MAGIC_GGSN = 1734833006
LLAMA_FILE_MAGIC_GGSQ = 1734833009
LLAMA_SESSION_MAGIC = 1734833006
LLAMA_SESSION_VERSION = 11
LLAMA_STATE_SEQ_MAGIC = 1734833009
LLAMA_STATE_SEQ_VERSION = 4
LLAMA_STATE_SEQ_FLAGS_NONE = 0
LLAMA_STATE_SEQ_FLAGS_SWA_ONLY = 1
LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY = 1
LLAMA_STATE_SEQ_FLAGS_ON_DEVICE = 2

# Enumerations. Their constants also stand in the module, as in C. Each is made when one of its
# names is first asked for, because making all would take longer than importing all the rest.
_ENUMS = {
    ("ggml_status", "IntEnum"): {
        "GGML_STATUS_ALLOC_FAILED": -2,
        "GGML_STATUS_FAILED": -1,
        "GGML_STATUS_SUCCESS": 0,
        "GGML_STATUS_ABORTED": 1,
    },
    ("ggml_type", "IntEnum"): {
        "GGML_TYPE_F32": 0,
        "GGML_TYPE_F16": 1,
        "GGML_TYPE_Q4_0": 2,
        "GGML_TYPE_Q4_1": 3,
        "GGML_TYPE_Q5_0": 6,
        "GGML_TYPE_Q5_1": 7,
        "GGML_TYPE_Q8_0": 8,
        "GGML_TYPE_Q8_1": 9,
        "GGML_TYPE_Q2_K": 10,
        "GGML_TYPE_Q3_K": 11,
        "GGML_TYPE_Q4_K": 12,
        "GGML_TYPE_Q5_K": 13,
        "GGML_TYPE_Q6_K": 14,
        "GGML_TYPE_Q8_K": 15,
        "GGML_TYPE_IQ2_XXS": 16,
        "GGML_TYPE_IQ2_XS": 17,
        "GGML_TYPE_IQ3_XXS": 18,
        "GGML_TYPE_IQ1_S": 19,
        "GGML_TYPE_IQ4_NL": 20,
        "GGML_TYPE_IQ3_S": 21,
        "GGML_TYPE_IQ2_S": 22,
        "GGML_TYPE_IQ4_XS": 23,
        "GGML_TYPE_I8": 24,
        "GGML_TYPE_I16": 25,
        "GGML_TYPE_I32": 26,
        "GGML_TYPE_I64": 27,
        "GGML_TYPE_F64": 28,
        "GGML_TYPE_IQ1_M": 29,
        "GGML_TYPE_BF16": 30,
        "GGML_TYPE_TQ1_0": 34,
        "GGML_TYPE_TQ2_0": 35,
        "GGML_TYPE_MXFP4": 39,
        "GGML_TYPE_NVFP4": 40,
        "GGML_TYPE_Q1_0": 41,
        "GGML_TYPE_Q2_0": 42,
        "GGML_TYPE_COUNT": 43,
    },
    ("ggml_prec", "IntEnum"): {
        "GGML_PREC_UNDEFINED": 0,
        "GGML_PREC_DEFAULT": 0,
        "GGML_PREC_F32": 10,
        "GGML_PREC_BF16": 15,
        "GGML_PREC_F16": 20,
        "GGML_PREC_Q8": 30,
        "GGML_PREC_Q4": 40,
    },
    ("ggml_op_hint", "IntEnum"): {
        "GGML_HINT_NONE": 0,
        "GGML_HINT_SRC0_IS_HADAMARD": 1,
    },
    ("ggml_ftype", "IntEnum"): {
        "GGML_FTYPE_UNKNOWN": -1,
        "GGML_FTYPE_ALL_F32": 0,
        "GGML_FTYPE_MOSTLY_F16": 1,
        "GGML_FTYPE_MOSTLY_Q4_0": 2,
        "GGML_FTYPE_MOSTLY_Q4_1": 3,
        "GGML_FTYPE_MOSTLY_Q4_1_SOME_F16": 4,
        "GGML_FTYPE_MOSTLY_Q8_0": 7,
        "GGML_FTYPE_MOSTLY_Q5_0": 8,
        "GGML_FTYPE_MOSTLY_Q5_1": 9,
        "GGML_FTYPE_MOSTLY_Q2_K": 10,
        "GGML_FTYPE_MOSTLY_Q3_K": 11,
        "GGML_FTYPE_MOSTLY_Q4_K": 12,
        "GGML_FTYPE_MOSTLY_Q5_K": 13,
        "GGML_FTYPE_MOSTLY_Q6_K": 14,
        "GGML_FTYPE_MOSTLY_IQ2_XXS": 15,
        "GGML_FTYPE_MOSTLY_IQ2_XS": 16,
        "GGML_FTYPE_MOSTLY_IQ3_XXS": 17,
        "GGML_FTYPE_MOSTLY_IQ1_S": 18,
        "GGML_FTYPE_MOSTLY_IQ4_NL": 19,
        "GGML_FTYPE_MOSTLY_IQ3_S": 20,
        "GGML_FTYPE_MOSTLY_IQ2_S": 21,
        "GGML_FTYPE_MOSTLY_IQ4_XS": 22,
        "GGML_FTYPE_MOSTLY_IQ1_M": 23,
        "GGML_FTYPE_MOSTLY_BF16": 24,
        "GGML_FTYPE_MOSTLY_MXFP4": 25,
        "GGML_FTYPE_MOSTLY_NVFP4": 26,
        "GGML_FTYPE_MOSTLY_Q1_0": 27,
        "GGML_FTYPE_MOSTLY_Q2_0": 28,
    },
    ("ggml_op", "IntEnum"): {
        "GGML_OP_NONE": 0,
        "GGML_OP_DUP": 1,
        "GGML_OP_ADD": 2,
        "GGML_OP_ADD_ID": 3,
        "GGML_OP_ADD1": 4,
        "GGML_OP_ACC": 5,
        "GGML_OP_SUB": 6,
        "GGML_OP_MUL": 7,
        "GGML_OP_DIV": 8,
        "GGML_OP_SQR": 9,
        "GGML_OP_SQRT": 10,
        "GGML_OP_LOG": 11,
        "GGML_OP_SIN": 12,
        "GGML_OP_COS": 13,
        "GGML_OP_SUM": 14,
        "GGML_OP_SUM_ROWS": 15,
        "GGML_OP_CUMSUM": 16,
        "GGML_OP_MEAN": 17,
        "GGML_OP_ARGMAX": 18,
        "GGML_OP_COUNT_EQUAL": 19,
        "GGML_OP_REPEAT": 20,
        "GGML_OP_REPEAT_BACK": 21,
        "GGML_OP_CONCAT": 22,
        "GGML_OP_SILU_BACK": 23,
        "GGML_OP_NORM": 24,
        "GGML_OP_RMS_NORM": 25,
        "GGML_OP_RMS_NORM_BACK": 26,
        "GGML_OP_GROUP_NORM": 27,
        "GGML_OP_L2_NORM": 28,
        "GGML_OP_MUL_MAT": 29,
        "GGML_OP_MUL_MAT_ID": 30,
        "GGML_OP_OUT_PROD": 31,
        "GGML_OP_SCALE": 32,
        "GGML_OP_SET": 33,
        "GGML_OP_CPY": 34,
        "GGML_OP_CONT": 35,
        "GGML_OP_RESHAPE": 36,
        "GGML_OP_VIEW": 37,
        "GGML_OP_PERMUTE": 38,
        "GGML_OP_TRANSPOSE": 39,
        "GGML_OP_GET_ROWS": 40,
        "GGML_OP_GET_ROWS_BACK": 41,
        "GGML_OP_SET_ROWS": 42,
        "GGML_OP_DIAG": 43,
        "GGML_OP_DIAG_MASK_INF": 44,
        "GGML_OP_DIAG_MASK_ZERO": 45,
        "GGML_OP_SOFT_MAX": 46,
        "GGML_OP_SOFT_MAX_BACK": 47,
        "GGML_OP_ROPE": 48,
        "GGML_OP_ROPE_BACK": 49,
        "GGML_OP_CLAMP": 50,
        "GGML_OP_CONV_TRANSPOSE_1D": 51,
        "GGML_OP_IM2COL": 52,
        "GGML_OP_IM2COL_BACK": 53,
        "GGML_OP_IM2COL_3D": 54,
        "GGML_OP_COL2IM_1D": 55,
        "GGML_OP_CONV_2D": 56,
        "GGML_OP_CONV_3D": 57,
        "GGML_OP_CONV_2D_DW": 58,
        "GGML_OP_CONV_TRANSPOSE_2D": 59,
        "GGML_OP_POOL_1D": 60,
        "GGML_OP_POOL_2D": 61,
        "GGML_OP_POOL_2D_BACK": 62,
        "GGML_OP_UPSCALE": 63,
        "GGML_OP_PAD": 64,
        "GGML_OP_PAD_REFLECT_1D": 65,
        "GGML_OP_ROLL": 66,
        "GGML_OP_ARANGE": 67,
        "GGML_OP_TIMESTEP_EMBEDDING": 68,
        "GGML_OP_ARGSORT": 69,
        "GGML_OP_TOP_K": 70,
        "GGML_OP_LEAKY_RELU": 71,
        "GGML_OP_TRI": 72,
        "GGML_OP_FILL": 73,
        "GGML_OP_FLASH_ATTN_EXT": 74,
        "GGML_OP_FLASH_ATTN_BACK": 75,
        "GGML_OP_SSM_CONV": 76,
        "GGML_OP_SSM_SCAN": 77,
        "GGML_OP_WIN_PART": 78,
        "GGML_OP_WIN_UNPART": 79,
        "GGML_OP_GET_REL_POS": 80,
        "GGML_OP_ADD_REL_POS": 81,
        "GGML_OP_RWKV_WKV6": 82,
        "GGML_OP_GATED_LINEAR_ATTN": 83,
        "GGML_OP_RWKV_WKV7": 84,
        "GGML_OP_SOLVE_TRI": 85,
        "GGML_OP_GATED_DELTA_NET": 86,
        "GGML_OP_LIGHTNING_INDEXER": 87,
        "GGML_OP_DSV4_HC_COMB": 88,
        "GGML_OP_DSV4_HC_PRE": 89,
        "GGML_OP_DSV4_HC_POST": 90,
        "GGML_OP_UNARY": 91,
        "GGML_OP_MAP_CUSTOM1": 92,
        "GGML_OP_MAP_CUSTOM2": 93,
        "GGML_OP_MAP_CUSTOM3": 94,
        "GGML_OP_CUSTOM": 95,
        "GGML_OP_CROSS_ENTROPY_LOSS": 96,
        "GGML_OP_CROSS_ENTROPY_LOSS_BACK": 97,
        "GGML_OP_OPT_STEP_ADAMW": 98,
        "GGML_OP_OPT_STEP_SGD": 99,
        "GGML_OP_GLU": 100,
        "GGML_OP_COUNT": 101,
    },
    ("ggml_unary_op", "IntEnum"): {
        "GGML_UNARY_OP_ABS": 0,
        "GGML_UNARY_OP_SGN": 1,
        "GGML_UNARY_OP_NEG": 2,
        "GGML_UNARY_OP_STEP": 3,
        "GGML_UNARY_OP_TANH": 4,
        "GGML_UNARY_OP_ELU": 5,
        "GGML_UNARY_OP_RELU": 6,
        "GGML_UNARY_OP_SIGMOID": 7,
        "GGML_UNARY_OP_GELU": 8,
        "GGML_UNARY_OP_GELU_QUICK": 9,
        "GGML_UNARY_OP_SILU": 10,
        "GGML_UNARY_OP_HARDSWISH": 11,
        "GGML_UNARY_OP_HARDSIGMOID": 12,
        "GGML_UNARY_OP_EXP": 13,
        "GGML_UNARY_OP_EXPM1": 14,
        "GGML_UNARY_OP_SOFTPLUS": 15,
        "GGML_UNARY_OP_GELU_ERF": 16,
        "GGML_UNARY_OP_XIELU": 17,
        "GGML_UNARY_OP_FLOOR": 18,
        "GGML_UNARY_OP_CEIL": 19,
        "GGML_UNARY_OP_ROUND": 20,
        "GGML_UNARY_OP_TRUNC": 21,
        "GGML_UNARY_OP_COUNT": 22,
    },
    ("ggml_glu_op", "IntEnum"): {
        "GGML_GLU_OP_REGLU": 0,
        "GGML_GLU_OP_GEGLU": 1,
        "GGML_GLU_OP_SWIGLU": 2,
        "GGML_GLU_OP_SWIGLU_OAI": 3,
        "GGML_GLU_OP_GEGLU_ERF": 4,
        "GGML_GLU_OP_GEGLU_QUICK": 5,
        "GGML_GLU_OP_SWIGLU_CLAMP": 6,
        "GGML_GLU_OP_COUNT": 7,
    },
    ("ggml_object_type", "IntEnum"): {
        "GGML_OBJECT_TYPE_TENSOR": 0,
        "GGML_OBJECT_TYPE_GRAPH": 1,
        "GGML_OBJECT_TYPE_WORK_BUFFER": 2,
    },
    ("ggml_log_level", "IntEnum"): {
        "GGML_LOG_LEVEL_NONE": 0,
        "GGML_LOG_LEVEL_DEBUG": 1,
        "GGML_LOG_LEVEL_INFO": 2,
        "GGML_LOG_LEVEL_WARN": 3,
        "GGML_LOG_LEVEL_ERROR": 4,
        "GGML_LOG_LEVEL_CONT": 5,
    },
    ("ggml_tensor_flag", "IntEnum"): {
        "GGML_TENSOR_FLAG_INPUT": 1,
        "GGML_TENSOR_FLAG_OUTPUT": 2,
        "GGML_TENSOR_FLAG_PARAM": 4,
        "GGML_TENSOR_FLAG_LOSS": 8,
        "GGML_TENSOR_FLAG_COMPUTE": 16,
    },
    ("ggml_tri_type", "IntEnum"): {
        "GGML_TRI_TYPE_UPPER_DIAG": 0,
        "GGML_TRI_TYPE_UPPER": 1,
        "GGML_TRI_TYPE_LOWER_DIAG": 2,
        "GGML_TRI_TYPE_LOWER": 3,
    },
    ("ggml_op_pool", "IntEnum"): {
        "GGML_OP_POOL_MAX": 0,
        "GGML_OP_POOL_AVG": 1,
        "GGML_OP_POOL_COUNT": 2,
    },
    ("ggml_scale_mode", "IntEnum"): {
        "GGML_SCALE_MODE_NEAREST": 0,
        "GGML_SCALE_MODE_BILINEAR": 1,
        "GGML_SCALE_MODE_BICUBIC": 2,
        "GGML_SCALE_MODE_COUNT": 3,
    },
    ("ggml_scale_flag", "IntEnum"): {
        "GGML_SCALE_FLAG_ALIGN_CORNERS": 256,
        "GGML_SCALE_FLAG_ANTIALIAS": 512,
    },
    ("ggml_sort_order", "IntEnum"): {
        "GGML_SORT_ORDER_ASC": 0,
        "GGML_SORT_ORDER_DESC": 1,
    },
    ("ggml_sched_priority", "IntEnum"): {
        "GGML_SCHED_PRIO_LOW": -1,
        "GGML_SCHED_PRIO_NORMAL": 0,
        "GGML_SCHED_PRIO_MEDIUM": 1,
        "GGML_SCHED_PRIO_HIGH": 2,
        "GGML_SCHED_PRIO_REALTIME": 3,
    },
    ("ggml_backend_buffer_usage", "IntEnum"): {
        "GGML_BACKEND_BUFFER_USAGE_ANY": 0,
        "GGML_BACKEND_BUFFER_USAGE_WEIGHTS": 1,
        "GGML_BACKEND_BUFFER_USAGE_COMPUTE": 2,
    },
    ("ggml_backend_dev_type_enum", "IntEnum"): {
        "GGML_BACKEND_DEVICE_TYPE_CPU": 0,
        "GGML_BACKEND_DEVICE_TYPE_GPU": 1,
        "GGML_BACKEND_DEVICE_TYPE_IGPU": 2,
        "GGML_BACKEND_DEVICE_TYPE_ACCEL": 3,
        "GGML_BACKEND_DEVICE_TYPE_META": 4,
    },
    ("ggml_backend_meta_split_axis", "IntEnum"): {
        "GGML_BACKEND_SPLIT_AXIS_0": 0,
        "GGML_BACKEND_SPLIT_AXIS_1": 1,
        "GGML_BACKEND_SPLIT_AXIS_2": 2,
        "GGML_BACKEND_SPLIT_AXIS_3": 3,
        "GGML_BACKEND_SPLIT_AXIS_MIRRORED": 10,
        "GGML_BACKEND_SPLIT_AXIS_PARTIAL": 11,
        "GGML_BACKEND_SPLIT_AXIS_NONE": 98,
        "GGML_BACKEND_SPLIT_AXIS_UNKNOWN": 99,
    },
    ("ggml_numa_strategy", "IntEnum"): {
        "GGML_NUMA_STRATEGY_DISABLED": 0,
        "GGML_NUMA_STRATEGY_DISTRIBUTE": 1,
        "GGML_NUMA_STRATEGY_ISOLATE": 2,
        "GGML_NUMA_STRATEGY_NUMACTL": 3,
        "GGML_NUMA_STRATEGY_MIRROR": 4,
        "GGML_NUMA_STRATEGY_COUNT": 5,
    },
    ("ggml_opt_loss_type", "IntEnum"): {
        "GGML_OPT_LOSS_TYPE_MEAN": 0,
        "GGML_OPT_LOSS_TYPE_SUM": 1,
        "GGML_OPT_LOSS_TYPE_CROSS_ENTROPY": 2,
        "GGML_OPT_LOSS_TYPE_MEAN_SQUARED_ERROR": 3,
    },
    ("ggml_opt_build_type", "IntEnum"): {
        "GGML_OPT_BUILD_TYPE_FORWARD": 10,
        "GGML_OPT_BUILD_TYPE_GRAD": 20,
        "GGML_OPT_BUILD_TYPE_OPT": 30,
    },
    ("ggml_opt_optimizer_type", "IntEnum"): {
        "GGML_OPT_OPTIMIZER_TYPE_ADAMW": 0,
        "GGML_OPT_OPTIMIZER_TYPE_SGD": 1,
        "GGML_OPT_OPTIMIZER_TYPE_COUNT": 2,
    },
    ("gguf_type", "IntEnum"): {
        "GGUF_TYPE_UINT8": 0,
        "GGUF_TYPE_INT8": 1,
        "GGUF_TYPE_UINT16": 2,
        "GGUF_TYPE_INT16": 3,
        "GGUF_TYPE_UINT32": 4,
        "GGUF_TYPE_INT32": 5,
        "GGUF_TYPE_FLOAT32": 6,
        "GGUF_TYPE_BOOL": 7,
        "GGUF_TYPE_STRING": 8,
        "GGUF_TYPE_ARRAY": 9,
        "GGUF_TYPE_UINT64": 10,
        "GGUF_TYPE_INT64": 11,
        "GGUF_TYPE_FLOAT64": 12,
        "GGUF_TYPE_COUNT": 13,
    },
    ("llama_vocab_type_enum", "IntEnum"): {
        "LLAMA_VOCAB_TYPE_NONE": 0,
        "LLAMA_VOCAB_TYPE_SPM": 1,
        "LLAMA_VOCAB_TYPE_BPE": 2,
        "LLAMA_VOCAB_TYPE_WPM": 3,
        "LLAMA_VOCAB_TYPE_UGM": 4,
        "LLAMA_VOCAB_TYPE_RWKV": 5,
        "LLAMA_VOCAB_TYPE_PLAMO2": 6,
        "LLAMA_VOCAB_TYPE_TEST": 7,
        "LLAMA_VOCAB_TYPE_PLAMO3": 8,
    },
    ("llama_rope_type", "IntEnum"): {
        "LLAMA_ROPE_TYPE_NONE": -1,
        "LLAMA_ROPE_TYPE_NORM": 0,
        "LLAMA_ROPE_TYPE_NEOX": 2,
        "LLAMA_ROPE_TYPE_MROPE": 8,
        "LLAMA_ROPE_TYPE_IMROPE": 40,
        "LLAMA_ROPE_TYPE_VISION": 24,
    },
    ("llama_token_type", "IntEnum"): {
        "LLAMA_TOKEN_TYPE_UNDEFINED": 0,
        "LLAMA_TOKEN_TYPE_NORMAL": 1,
        "LLAMA_TOKEN_TYPE_UNKNOWN": 2,
        "LLAMA_TOKEN_TYPE_CONTROL": 3,
        "LLAMA_TOKEN_TYPE_USER_DEFINED": 4,
        "LLAMA_TOKEN_TYPE_UNUSED": 5,
        "LLAMA_TOKEN_TYPE_BYTE": 6,
    },
    ("llama_token_attr", "IntFlag"): {
        "LLAMA_TOKEN_ATTR_UNDEFINED": 0,
        "LLAMA_TOKEN_ATTR_UNKNOWN": 1,
        "LLAMA_TOKEN_ATTR_UNUSED": 2,
        "LLAMA_TOKEN_ATTR_NORMAL": 4,
        "LLAMA_TOKEN_ATTR_CONTROL": 8,
        "LLAMA_TOKEN_ATTR_USER_DEFINED": 16,
        "LLAMA_TOKEN_ATTR_BYTE": 32,
        "LLAMA_TOKEN_ATTR_NORMALIZED": 64,
        "LLAMA_TOKEN_ATTR_LSTRIP": 128,
        "LLAMA_TOKEN_ATTR_RSTRIP": 256,
        "LLAMA_TOKEN_ATTR_SINGLE_WORD": 512,
    },
    ("llama_ftype", "IntEnum"): {
        "LLAMA_FTYPE_ALL_F32": 0,
        "LLAMA_FTYPE_MOSTLY_F16": 1,
        "LLAMA_FTYPE_MOSTLY_Q4_0": 2,
        "LLAMA_FTYPE_MOSTLY_Q4_1": 3,
        "LLAMA_FTYPE_MOSTLY_Q8_0": 7,
        "LLAMA_FTYPE_MOSTLY_Q5_0": 8,
        "LLAMA_FTYPE_MOSTLY_Q5_1": 9,
        "LLAMA_FTYPE_MOSTLY_Q2_K": 10,
        "LLAMA_FTYPE_MOSTLY_Q3_K_S": 11,
        "LLAMA_FTYPE_MOSTLY_Q3_K_M": 12,
        "LLAMA_FTYPE_MOSTLY_Q3_K_L": 13,
        "LLAMA_FTYPE_MOSTLY_Q4_K_S": 14,
        "LLAMA_FTYPE_MOSTLY_Q4_K_M": 15,
        "LLAMA_FTYPE_MOSTLY_Q5_K_S": 16,
        "LLAMA_FTYPE_MOSTLY_Q5_K_M": 17,
        "LLAMA_FTYPE_MOSTLY_Q6_K": 18,
        "LLAMA_FTYPE_MOSTLY_IQ2_XXS": 19,
        "LLAMA_FTYPE_MOSTLY_IQ2_XS": 20,
        "LLAMA_FTYPE_MOSTLY_Q2_K_S": 21,
        "LLAMA_FTYPE_MOSTLY_IQ3_XS": 22,
        "LLAMA_FTYPE_MOSTLY_IQ3_XXS": 23,
        "LLAMA_FTYPE_MOSTLY_IQ1_S": 24,
        "LLAMA_FTYPE_MOSTLY_IQ4_NL": 25,
        "LLAMA_FTYPE_MOSTLY_IQ3_S": 26,
        "LLAMA_FTYPE_MOSTLY_IQ3_M": 27,
        "LLAMA_FTYPE_MOSTLY_IQ2_S": 28,
        "LLAMA_FTYPE_MOSTLY_IQ2_M": 29,
        "LLAMA_FTYPE_MOSTLY_IQ4_XS": 30,
        "LLAMA_FTYPE_MOSTLY_IQ1_M": 31,
        "LLAMA_FTYPE_MOSTLY_BF16": 32,
        "LLAMA_FTYPE_MOSTLY_TQ1_0": 36,
        "LLAMA_FTYPE_MOSTLY_TQ2_0": 37,
        "LLAMA_FTYPE_MOSTLY_MXFP4_MOE": 38,
        "LLAMA_FTYPE_MOSTLY_NVFP4": 39,
        "LLAMA_FTYPE_MOSTLY_Q1_0": 40,
        "LLAMA_FTYPE_MOSTLY_Q2_0": 41,
        "LLAMA_FTYPE_GUESSED": 1024,
    },
    ("llama_rope_scaling_type", "IntEnum"): {
        "LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED": -1,
        "LLAMA_ROPE_SCALING_TYPE_NONE": 0,
        "LLAMA_ROPE_SCALING_TYPE_LINEAR": 1,
        "LLAMA_ROPE_SCALING_TYPE_YARN": 2,
        "LLAMA_ROPE_SCALING_TYPE_LONGROPE": 3,
        "LLAMA_ROPE_SCALING_TYPE_MAX_VALUE": 3,
    },
    ("llama_pooling_type_enum", "IntEnum"): {
        "LLAMA_POOLING_TYPE_UNSPECIFIED": -1,
        "LLAMA_POOLING_TYPE_NONE": 0,
        "LLAMA_POOLING_TYPE_MEAN": 1,
        "LLAMA_POOLING_TYPE_CLS": 2,
        "LLAMA_POOLING_TYPE_LAST": 3,
        "LLAMA_POOLING_TYPE_RANK": 4,
    },
    ("llama_attention_type", "IntEnum"): {
        "LLAMA_ATTENTION_TYPE_UNSPECIFIED": -1,
        "LLAMA_ATTENTION_TYPE_CAUSAL": 0,
        "LLAMA_ATTENTION_TYPE_NON_CAUSAL": 1,
    },
    ("llama_flash_attn_type", "IntEnum"): {
        "LLAMA_FLASH_ATTN_TYPE_AUTO": -1,
        "LLAMA_FLASH_ATTN_TYPE_DISABLED": 0,
        "LLAMA_FLASH_ATTN_TYPE_ENABLED": 1,
    },
    ("llama_split_mode", "IntEnum"): {
        "LLAMA_SPLIT_MODE_NONE": 0,
        "LLAMA_SPLIT_MODE_LAYER": 1,
        "LLAMA_SPLIT_MODE_ROW": 2,
        "LLAMA_SPLIT_MODE_TENSOR": 3,
    },
    ("llama_load_mode", "IntEnum"): {
        "LLAMA_LOAD_MODE_AUTO": -1,
        "LLAMA_LOAD_MODE_NONE": 0,
        "LLAMA_LOAD_MODE_MMAP": 1,
        "LLAMA_LOAD_MODE_MLOCK": 2,
        "LLAMA_LOAD_MODE_MMAP_MLOCK": 3,
        "LLAMA_LOAD_MODE_DIRECT_IO": 4,
    },
    ("llama_lazy_mode", "IntEnum"): {
        "LLAMA_LAZY_MODE_OFF": 0,
        "LLAMA_LAZY_MODE_AUTO": 1,
        "LLAMA_LAZY_MODE_ON": 2,
    },
    ("llama_context_type", "IntEnum"): {
        "LLAMA_CONTEXT_TYPE_DEFAULT": 0,
        "LLAMA_CONTEXT_TYPE_MTP": 1,
    },
    ("llama_model_kv_override_type", "IntEnum"): {
        "LLAMA_KV_OVERRIDE_TYPE_INT": 0,
        "LLAMA_KV_OVERRIDE_TYPE_FLOAT": 1,
        "LLAMA_KV_OVERRIDE_TYPE_BOOL": 2,
        "LLAMA_KV_OVERRIDE_TYPE_STR": 3,
    },
    ("llama_model_meta_key", "IntEnum"): {
        "LLAMA_MODEL_META_KEY_SAMPLING_SEQUENCE": 0,
        "LLAMA_MODEL_META_KEY_SAMPLING_TOP_K": 1,
        "LLAMA_MODEL_META_KEY_SAMPLING_TOP_P": 2,
        "LLAMA_MODEL_META_KEY_SAMPLING_MIN_P": 3,
        "LLAMA_MODEL_META_KEY_SAMPLING_XTC_PROBABILITY": 4,
        "LLAMA_MODEL_META_KEY_SAMPLING_XTC_THRESHOLD": 5,
        "LLAMA_MODEL_META_KEY_SAMPLING_TEMP": 6,
        "LLAMA_MODEL_META_KEY_SAMPLING_PENALTY_LAST_N": 7,
        "LLAMA_MODEL_META_KEY_SAMPLING_PENALTY_REPEAT": 8,
        "LLAMA_MODEL_META_KEY_SAMPLING_MIROSTAT": 9,
        "LLAMA_MODEL_META_KEY_SAMPLING_MIROSTAT_TAU": 10,
        "LLAMA_MODEL_META_KEY_SAMPLING_MIROSTAT_ETA": 11,
    },
    ("llama_process_type", "IntEnum"): {
        "LLAMA_PROCESS_TYPE_ENCODE": 0,
        "LLAMA_PROCESS_TYPE_DECODE": 1,
    },
}


# Handles: pointers to what only the library can look into. Each is a type of its own, so that
# ctypes refuses one kind where another belongs.
class ggml_object(c_void_p): ...


class ggml_context(c_void_p): ...


class ggml_cgraph(c_void_p): ...


class ggml_backend_buffer(c_void_p): ...


class ggml_threadpool(c_void_p): ...


class ggml_backend_buffer_type(c_void_p): ...


class ggml_backend(c_void_p): ...


class ggml_gallocr(c_void_p): ...


class ggml_backend_event(c_void_p): ...


class ggml_backend_reg(c_void_p): ...


class ggml_backend_device(c_void_p): ...


class ggml_backend_sched(c_void_p): ...


class ggml_opt_dataset(c_void_p): ...


class ggml_opt_context(c_void_p): ...


class ggml_opt_result(c_void_p): ...


class gguf_context(c_void_p): ...


class llama_vocab(c_void_p): ...


class llama_model(c_void_p): ...


class llama_context(c_void_p): ...


class llama_memory_i(c_void_p): ...


class llama_adapter_lora(c_void_p): ...


class llama_batch_ext(c_void_p): ...


class FILE(c_void_p): ...


# Structs. Their fields follow below, because they refer to each other.
class ggml_bf16_t(Structure): ...


class ggml_init_params(Structure): ...


class ggml_tensor(Structure): ...


class ggml_type_traits(Structure): ...


class ggml_threadpool_params(Structure): ...


class ggml_tallocr(Structure): ...


class ggml_backend_dev_caps(Structure): ...


class ggml_backend_dev_props(Structure): ...


class ggml_backend_feature(Structure): ...


class ggml_backend_meta_split_state(Structure): ...


class ggml_backend_graph_copy_struct(Structure): ...


class ggml_cplan(Structure): ...


class ggml_type_traits_cpu(Structure): ...


class ggml_opt_optimizer_params_adamw(Structure): ...


class ggml_opt_optimizer_params_sgd(Structure): ...


class ggml_opt_optimizer_params(Structure): ...


class ggml_opt_params(Structure): ...


class gguf_init_params(Structure): ...


class llama_token_data(Structure): ...


class llama_token_data_array(Structure): ...


class llama_batch(Structure): ...


class llama_model_kv_override_anonymous_0(Union): ...


class llama_model_kv_override(Structure): ...


class llama_model_tensor_buft_override(Structure): ...


class llama_model_params(Structure): ...


class llama_sampler_seq_config(Structure): ...


class llama_context_params(Structure): ...


class llama_model_tensor_override(Structure): ...


class llama_model_imatrix_data(Structure): ...


class llama_model_quantize_params(Structure): ...


class llama_logit_bias(Structure): ...


class llama_sampler_chain_params(Structure): ...


class llama_chat_message(Structure): ...


class llama_embd(Structure): ...


class llama_sampler_data(Structure): ...


class llama_sampler_i(Structure): ...


class llama_sampler(Structure): ...


class llama_perf_context_data(Structure): ...


class llama_perf_sampler_data(Structure): ...


class llama_opt_params(Structure): ...


# Other names for types, and the types of callbacks
ggml_abort_callback_t = CFUNCTYPE(None, c_char_p)
ggml_fp16_t = c_uint16
ggml_abort_callback = CFUNCTYPE(c_bool, c_void_p)
ggml_guid = c_uint8 * 16
ggml_guid_t = POINTER(ggml_guid)
ggml_custom1_op_t = CFUNCTYPE(
    None, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_void_p
)
ggml_custom2_op_t = CFUNCTYPE(
    None, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_void_p
)
ggml_custom3_op_t = CFUNCTYPE(
    None,
    POINTER(ggml_tensor),
    POINTER(ggml_tensor),
    POINTER(ggml_tensor),
    POINTER(ggml_tensor),
    c_int,
    c_int,
    c_void_p,
)
ggml_custom_op_t = CFUNCTYPE(None, POINTER(ggml_tensor), c_int, c_int, c_void_p)
ggml_log_callback = CFUNCTYPE(None, c_int, c_char_p, c_void_p)
ggml_to_float_t = CFUNCTYPE(None, c_void_p, POINTER(c_float), c_int64)
ggml_from_float_t = CFUNCTYPE(None, POINTER(c_float), c_void_p, c_int64)
ggml_threadpool_t = ggml_threadpool
ggml_backend_buffer_type_t = ggml_backend_buffer_type
ggml_backend_buffer_t = ggml_backend_buffer
ggml_backend_t = ggml_backend
ggml_gallocr_t = ggml_gallocr
ggml_backend_event_t = ggml_backend_event
ggml_backend_graph_plan_t = c_void_p
ggml_backend_reg_t = ggml_backend_reg
ggml_backend_dev_t = ggml_backend_device
ggml_backend_comm_init_t = CFUNCTYPE(c_void_p, POINTER(ggml_backend_t), c_size_t)
ggml_backend_comm_free_t = CFUNCTYPE(None, c_void_p)
ggml_backend_comm_allreduce_tensor_t = CFUNCTYPE(c_bool, c_void_p, POINTER(POINTER(ggml_tensor)))
ggml_backend_split_buffer_type_t = CFUNCTYPE(c_void_p, c_int, POINTER(c_float))
ggml_backend_set_n_threads_t = CFUNCTYPE(None, ggml_backend_t, c_int)
ggml_backend_dev_get_extra_bufts_t = CFUNCTYPE(c_void_p, ggml_backend_dev_t)
ggml_backend_set_abort_callback_t = CFUNCTYPE(None, ggml_backend_t, ggml_abort_callback, c_void_p)
ggml_backend_get_features_t = CFUNCTYPE(c_void_p, ggml_backend_reg_t)
ggml_backend_sched_t = ggml_backend_sched
ggml_backend_sched_eval_callback = CFUNCTYPE(c_bool, POINTER(ggml_tensor), c_bool, c_void_p)
ggml_backend_sched_copy_callback = CFUNCTYPE(
    c_bool, ggml_backend_t, POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_cgraph, c_void_p
)
ggml_backend_meta_get_split_state_t = CFUNCTYPE(
    ggml_backend_meta_split_state, POINTER(ggml_tensor), c_void_p
)
ggml_backend_eval_callback = CFUNCTYPE(
    c_bool, c_int, POINTER(ggml_tensor), POINTER(ggml_tensor), c_void_p
)
ggml_vec_dot_t = CFUNCTYPE(
    None, c_int, POINTER(c_float), c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, c_int
)
ggml_opt_dataset_t = ggml_opt_dataset
ggml_opt_context_t = ggml_opt_context
ggml_opt_result_t = ggml_opt_result
ggml_opt_get_optimizer_params = CFUNCTYPE(ggml_opt_optimizer_params, c_void_p)
ggml_opt_epoch_callback = CFUNCTYPE(
    None,
    c_bool,
    ggml_opt_context_t,
    ggml_opt_dataset_t,
    ggml_opt_result_t,
    c_int64,
    c_int64,
    c_int64,
)
gguf_reader_callback_t = CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_uint64, c_size_t)
llama_memory_t = llama_memory_i
llama_pos = c_int32
llama_token = c_int32
llama_seq_id = c_int32
llama_progress_callback = CFUNCTYPE(c_bool, c_float, c_void_p)
llama_model_set_tensor_data_t = CFUNCTYPE(None, POINTER(ggml_tensor), c_void_p)
llama_state_seq_flags = c_uint32
llama_sampler_context_t = c_void_p
llama_opt_param_filter = CFUNCTYPE(c_bool, POINTER(ggml_tensor), c_void_p)
llama_sampler_i_name = CFUNCTYPE(c_char_p, POINTER(llama_sampler))
llama_sampler_i_accept = CFUNCTYPE(None, POINTER(llama_sampler), llama_token)
llama_sampler_i_apply = CFUNCTYPE(None, POINTER(llama_sampler), POINTER(llama_token_data_array))
llama_sampler_i_reset = CFUNCTYPE(None, POINTER(llama_sampler))
llama_sampler_i_clone = CFUNCTYPE(c_void_p, POINTER(llama_sampler))
llama_sampler_i_free = CFUNCTYPE(None, POINTER(llama_sampler))
llama_sampler_i_backend_init = CFUNCTYPE(
    c_bool, POINTER(llama_sampler), ggml_backend_buffer_type_t, c_uint32
)
llama_sampler_i_backend_accept = CFUNCTYPE(
    None, POINTER(llama_sampler), ggml_context, ggml_cgraph, POINTER(ggml_tensor)
)
llama_sampler_i_backend_apply = CFUNCTYPE(
    None, POINTER(llama_sampler), ggml_context, ggml_cgraph, POINTER(llama_sampler_data)
)
llama_sampler_i_backend_set_input = CFUNCTYPE(None, POINTER(llama_sampler))
llama_sampler_i_backend_reset = CFUNCTYPE(None, POINTER(llama_sampler))
llama_sampler_i_copy_state = CFUNCTYPE(None, POINTER(llama_sampler), POINTER(llama_sampler))

# Fields
ggml_bf16_t._fields_ = (("bits", c_uint16),)
ggml_init_params._fields_ = (
    ("mem_size", c_size_t),
    ("mem_buffer", c_void_p),
    ("no_alloc", c_bool),
)
ggml_tensor._fields_ = (
    ("type", c_int),
    ("buffer", ggml_backend_buffer),
    ("ne", c_int64 * 4),
    ("nb", c_size_t * 4),
    ("op", c_int),
    ("op_params", c_int32 * 16),
    ("flags", c_int32),
    ("src", POINTER(ggml_tensor) * 10),
    ("view_src", POINTER(ggml_tensor)),
    ("view_offs", c_size_t),
    ("data", c_void_p),
    ("name", c_char * 64),
    ("extra", c_void_p),
    ("padding", c_char * 8),
)
ggml_type_traits._fields_ = (
    ("type_name", c_char_p),
    ("blck_size", c_int64),
    ("blck_size_interleave", c_int64),
    ("type_size", c_size_t),
    ("is_quantized", c_bool),
    ("to_float", ggml_to_float_t),
    ("from_float_ref", ggml_from_float_t),
)
ggml_threadpool_params._fields_ = (
    ("cpumask", c_bool * 512),
    ("n_threads", c_int),
    ("prio", c_int),
    ("poll", c_uint32),
    ("strict_cpu", c_bool),
    ("paused", c_bool),
)
ggml_tallocr._fields_ = (
    ("buffer", ggml_backend_buffer_t),
    ("base", c_void_p),
    ("alignment", c_size_t),
    ("offset", c_size_t),
)
ggml_backend_dev_caps._fields_ = (
    ("async_", c_bool),
    ("host_buffer", c_bool),
    ("buffer_from_host_ptr", c_bool),
    ("events", c_bool),
    ("mmap_support", c_bool),
)
ggml_backend_dev_props._fields_ = (
    ("name", c_char_p),
    ("description", c_char_p),
    ("memory_free", c_size_t),
    ("memory_total", c_size_t),
    ("type", c_int),
    ("device_id", c_char_p),
    ("caps", ggml_backend_dev_caps),
)
ggml_backend_feature._fields_ = (
    ("name", c_char_p),
    ("value", c_char_p),
)
ggml_backend_meta_split_state._fields_ = (
    ("axis", c_int),
    ("ne", c_int64 * 256),
    ("nr", c_uint32 * 16),
    ("n_segments", c_uint32),
)
ggml_backend_graph_copy_struct._fields_ = (
    ("buffer", ggml_backend_buffer_t),
    ("ctx_allocated", ggml_context),
    ("ctx_unallocated", ggml_context),
    ("graph", ggml_cgraph),
)
ggml_cplan._fields_ = (
    ("work_size", c_size_t),
    ("work_data", POINTER(c_uint8)),
    ("n_threads", c_int),
    ("threadpool", ggml_threadpool),
    ("abort_callback", ggml_abort_callback),
    ("abort_callback_data", c_void_p),
    ("use_ref", c_bool),
)
ggml_type_traits_cpu._fields_ = (
    ("from_float", ggml_from_float_t),
    ("vec_dot", ggml_vec_dot_t),
    ("vec_dot_type", c_int),
    ("nrows", c_int64),
)
ggml_opt_optimizer_params_adamw._fields_ = (
    ("alpha", c_float),
    ("beta1", c_float),
    ("beta2", c_float),
    ("eps", c_float),
    ("wd", c_float),
)
ggml_opt_optimizer_params_sgd._fields_ = (
    ("alpha", c_float),
    ("wd", c_float),
)
ggml_opt_optimizer_params._fields_ = (
    ("adamw", ggml_opt_optimizer_params_adamw),
    ("sgd", ggml_opt_optimizer_params_sgd),
)
ggml_opt_params._fields_ = (
    ("backend_sched", ggml_backend_sched_t),
    ("ctx_compute", ggml_context),
    ("inputs", POINTER(ggml_tensor)),
    ("outputs", POINTER(ggml_tensor)),
    ("loss_type", c_int),
    ("build_type", c_int),
    ("opt_period", c_int32),
    ("get_opt_pars", ggml_opt_get_optimizer_params),
    ("get_opt_pars_ud", c_void_p),
    ("optimizer", c_int),
)
gguf_init_params._fields_ = (
    ("no_alloc", c_bool),
    ("ctx", POINTER(ggml_context)),
)
llama_token_data._fields_ = (
    ("id", llama_token),
    ("logit", c_float),
    ("p", c_float),
)
llama_token_data_array._fields_ = (
    ("data", POINTER(llama_token_data)),
    ("size", c_size_t),
    ("selected", c_int64),
    ("sorted", c_bool),
)
llama_batch._fields_ = (
    ("n_tokens", c_int32),
    ("token", POINTER(llama_token)),
    ("embd", POINTER(c_float)),
    ("pos", POINTER(llama_pos)),
    ("n_seq_id", POINTER(c_int32)),
    ("seq_id", POINTER(POINTER(llama_seq_id))),
    ("logits", POINTER(c_int8)),
)
llama_model_kv_override_anonymous_0._fields_ = (
    ("val_i64", c_int64),
    ("val_f64", c_double),
    ("val_bool", c_bool),
    ("val_str", c_char * 128),
)
llama_model_kv_override._anonymous_ = ["anonymous_0"]
llama_model_kv_override._fields_ = (
    ("tag", c_int),
    ("key", c_char * 128),
    ("anonymous_0", llama_model_kv_override_anonymous_0),
)
llama_model_tensor_buft_override._fields_ = (
    ("pattern", c_char_p),
    ("buft", ggml_backend_buffer_type_t),
)
llama_model_params._fields_ = (
    ("devices", POINTER(ggml_backend_dev_t)),
    ("tensor_buft_overrides", POINTER(llama_model_tensor_buft_override)),
    ("n_gpu_layers", c_int32),
    ("split_mode", c_int),
    ("load_mode", c_int),
    ("lazy_mode", c_int),
    ("main_gpu", c_int32),
    ("tensor_split", POINTER(c_float)),
    ("progress_callback", llama_progress_callback),
    ("progress_callback_user_data", c_void_p),
    ("kv_overrides", POINTER(llama_model_kv_override)),
    ("vocab_only", c_bool),
    ("check_tensors", c_bool),
    ("use_extra_bufts", c_bool),
    ("no_host", c_bool),
    ("no_alloc", c_bool),
    ("load_mtp", c_bool),
)
llama_sampler_seq_config._fields_ = (
    ("seq_id", llama_seq_id),
    ("sampler", POINTER(llama_sampler)),
)
llama_context_params._fields_ = (
    ("n_ctx", c_uint32),
    ("n_batch", c_uint32),
    ("n_ubatch", c_uint32),
    ("n_seq_max", c_uint32),
    ("n_rs_seq", c_uint32),
    ("n_outputs_max", c_uint32),
    ("n_outputs_max_per_seq", c_uint32),
    ("n_threads", c_int32),
    ("n_threads_batch", c_int32),
    ("ctx_type", c_int),
    ("rope_scaling_type", c_int),
    ("pooling_type", c_int),
    ("attention_type", c_int),
    ("flash_attn_type", c_int),
    ("rope_freq_base", c_float),
    ("rope_freq_scale", c_float),
    ("yarn_ext_factor", c_float),
    ("yarn_attn_factor", c_float),
    ("yarn_beta_fast", c_float),
    ("yarn_beta_slow", c_float),
    ("yarn_orig_ctx", c_uint32),
    ("defrag_thold", c_float),
    ("cb_eval", ggml_backend_sched_eval_callback),
    ("cb_eval_user_data", c_void_p),
    ("type_k", c_int),
    ("type_v", c_int),
    ("moe_cache_size", c_size_t),
    ("abort_callback", ggml_abort_callback),
    ("abort_callback_data", c_void_p),
    ("embeddings", c_bool),
    ("offload_kqv", c_bool),
    ("no_perf", c_bool),
    ("op_offload", c_bool),
    ("swa_full", c_bool),
    ("kv_unified", c_bool),
    ("samplers", POINTER(llama_sampler_seq_config)),
    ("n_samplers", c_size_t),
    ("ctx_other", llama_context),
)
llama_model_tensor_override._fields_ = (
    ("pattern", c_char_p),
    ("type", c_int),
)
llama_model_imatrix_data._fields_ = (
    ("name", c_char_p),
    ("data", POINTER(c_float)),
    ("size", c_size_t),
)
llama_model_quantize_params._fields_ = (
    ("nthread", c_int32),
    ("ftype", c_int),
    ("output_tensor_type", c_int),
    ("token_embedding_type", c_int),
    ("allow_requantize", c_bool),
    ("quantize_output_tensor", c_bool),
    ("only_copy", c_bool),
    ("pure", c_bool),
    ("keep_split", c_bool),
    ("dry_run", c_bool),
    ("imatrix", POINTER(llama_model_imatrix_data)),
    ("kv_overrides", POINTER(llama_model_kv_override)),
    ("tt_overrides", POINTER(llama_model_tensor_override)),
    ("prune_layers", POINTER(c_int32)),
    ("max_buf_size", c_size_t),
)
llama_logit_bias._fields_ = (
    ("token", llama_token),
    ("bias", c_float),
)
llama_sampler_chain_params._fields_ = (("no_perf", c_bool),)
llama_chat_message._fields_ = (
    ("role", c_char_p),
    ("content", c_char_p),
)
llama_embd._fields_ = (
    ("data", POINTER(c_float)),
    ("n_rows", c_size_t),
    ("n_embd", c_size_t),
)
llama_sampler_data._fields_ = (
    ("logits", POINTER(ggml_tensor)),
    ("probs", POINTER(ggml_tensor)),
    ("sampled", POINTER(ggml_tensor)),
    ("candidates", POINTER(ggml_tensor)),
)
llama_sampler_i._fields_ = (
    ("name", llama_sampler_i_name),
    ("accept", llama_sampler_i_accept),
    ("apply", llama_sampler_i_apply),
    ("reset", llama_sampler_i_reset),
    ("clone", llama_sampler_i_clone),
    ("free", llama_sampler_i_free),
    ("backend_init", llama_sampler_i_backend_init),
    ("backend_accept", llama_sampler_i_backend_accept),
    ("backend_apply", llama_sampler_i_backend_apply),
    ("backend_set_input", llama_sampler_i_backend_set_input),
    ("backend_reset", llama_sampler_i_backend_reset),
    ("copy_state", llama_sampler_i_copy_state),
)
llama_sampler._fields_ = (
    ("iface", POINTER(llama_sampler_i)),
    ("ctx", llama_sampler_context_t),
)
llama_perf_context_data._fields_ = (
    ("t_start_ms", c_double),
    ("t_load_ms", c_double),
    ("t_p_eval_ms", c_double),
    ("t_eval_ms", c_double),
    ("n_p_eval", c_int32),
    ("n_eval", c_int32),
    ("n_reused", c_int32),
)
llama_perf_sampler_data._fields_ = (
    ("t_sample_ms", c_double),
    ("n_sample", c_int32),
)
llama_opt_params._fields_ = (
    ("n_ctx_train", c_uint32),
    ("param_filter", llama_opt_param_filter),
    ("param_filter_ud", c_void_p),
    ("get_opt_pars", ggml_opt_get_optimizer_params),
    ("get_opt_pars_ud", c_void_p),
    ("optimizer_type", c_int),
)


def _none_if_null(result: Any, function: Any, arguments: Any) -> Any:
    """A null handle is None, so that a failed call reads as one."""
    return result or None


class _Help:
    """The text that `help` shows for a C function or type, made when it is read."""

    def __init__(self, question: str) -> None:
        self.question = question

    def __get__(self, instance: object, owner: type) -> Any:
        if not _of_the_package():
            return None
        headers = importlib.import_module(".native.headers", __package__)
        return getattr(headers, self.question)(getattr(instance, "__name__", owner.__name__))


def _of_the_package() -> bool:
    """Whether the library is llama.cpp's, which the package finds."""
    return bool(__package__) and "CDLL" not in globals()


def _explain(kind: Any) -> None:
    """Have `help` show the header's text for the class ``kind`` and its objects."""
    kind.__doc__ = _Help("explain")


def _value(name: str, module: dict[str, Any]) -> Any:
    """A name that ``module`` has not made yet: an enumeration, or one of its constants."""
    for (enum, kind), constants in module["_ENUMS"].items():
        if name == enum or name in constants:
            bases: Any = importlib.import_module("enum")
            made = getattr(bases, kind)(enum, constants, module=module["__name__"])
            _explain(made)
            made = module.setdefault(enum, made)  # another thread may have been faster
            for member, value in made.__members__.items():
                module.setdefault(member, value)
            return module[name]
    if name in module["FUNCTIONS"]:
        module[name] = module["FUNCTIONS"][name]
        return module[name]
    if name == "__all__":
        return [n for n in _names(module) if not n.startswith("_")]
    reason = f" ({module['LEFT_OUT'][name]})" if name in module["LEFT_OUT"] else ""
    raise AttributeError(f"{module['__name__']} has no {name!r}{reason}")


def _names(module: dict[str, Any]) -> Iterator[str]:
    """The names that ``module`` has, or makes when they are asked for."""
    enums = module["_ENUMS"].items()
    made = (name for (enum, _), constants in enums for name in (enum, *constants))
    return iter(sorted({*module, *made, *module["FUNCTIONS"]}))


def _signatures(text: str) -> dict[str, str]:
    """The lines of ``text``, of one function each, by its name."""
    lines = text.split("\n")
    return {line.partition(":")[0].partition(" ")[0]: line for line in lines if line}


class _Made(Mapping["str", "Any"]):
    """The values of ``source`` as ``make`` converts them, each on first access."""

    def __init__(self, source: Mapping[str, str], make: Callable[[str], Any]) -> None:
        self._source, self._make = source, make
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._made:
            self._made[key] = self._make(self._source[key])
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __contains__(self, key: object) -> bool:
        return key in self._source


class Function:
    """A C function by name: its types, and a call that goes to the default library."""

    __slots__ = ("__name__", "_bound", "_module", "_signature", "_types", "symbol")
    __signature__: Any = _Help("signature")

    def __init__(self, line: str, module: dict[str, Any]) -> None:
        names, _, signature = line.partition(": ")
        # With C++ linkage it has another name in a library, and yet another in one for Windows.
        self.__name__, *symbols = names.split()
        self.symbol = symbols[-(sys.platform == "win32")] if symbols else self.__name__
        self._signature = signature
        self._module = module
        self._types: tuple[Any, ...] | None = None
        self._bound: Any = None

    @property
    def restype(self) -> Any:
        """The ctypes type of the result, None for void."""
        return self._resolve()[0]

    @property
    def argtypes(self) -> tuple[Any, ...]:
        """The ctypes types of the parameters."""
        return self._resolve()[1:]

    @property
    def library(self) -> str:
        """The library that has it: ``llama`` for libllama."""
        return str(self._module["LIBRARY"])

    def _resolve(self) -> tuple[Any, ...]:
        if self._types is None:
            # Compiled, because Python takes a Ctrl-C that comes out of the evaluation of a string
            # for one that nobody caught, and ends the process by it in the end.
            code = compile(self._signature, self.__name__, "eval")
            types: tuple[Any, ...] = eval(code, self._module)
            self._types = types
        return self._types

    def bind(self, library: CDLL) -> Any:
        """This function in ``library`` (a ctypes library), ready to call. AttributeError if the
        library has none."""
        bound = library[self.symbol]  # by item, because by attribute ctypes shares the object
        bound.__name__ = self.__name__
        kind: type[Any] = type(bound)  # of this library alone
        if "__signature__" not in vars(kind):
            _explain(kind)
            kind.__signature__ = _Help("signature")
        bound.restype = self.restype
        bound.argtypes = self.argtypes
        if isinstance(self.restype, type) and issubclass(self.restype, c_void_p):
            bound.errcheck = _none_if_null
        return bound

    def warn(self, stacklevel: int) -> None:
        """Warn if the header marks this function as deprecated."""
        name = self.__name__
        deprecated = self._module["DEPRECATED"]
        if name in deprecated:
            instead = deprecated[name]
            hint = f"use {instead} instead" if instead else "llama.cpp names no replacement"
            warnings.warn(
                f"{name} is deprecated: {hint}", DeprecationWarning, stacklevel=stacklevel + 1
            )

    def __call__(self, *arguments: Any) -> Any:
        if self._bound is None:
            self.warn(stacklevel=2)
            library = self._module.get("_library")
            own = self.bind(library) if library else None
            self._bound = own or getattr(default_library(), self.__name__)
            # From now on the module's name is the C function itself.
            self._module[self.__name__] = self._bound
        return self._bound(*arguments)

    def __repr__(self) -> str:
        return f"<C function {self.__name__}, not looked up yet>"


_explain(Function)


def default_library() -> Any:
    """The library that this module's functions call: the one that the package finds."""
    if not _of_the_package():
        raise ImportError(
            f"{__name__} was imported on its own and has no library: call its load(path), or bind "
            "a function with FUNCTIONS[name].bind(ctypes.CDLL(path))"
        )
    library = importlib.import_module(".native.library", __package__)
    return library.LlamaLibrary.default()


# Deprecated function -> what replaces it, None where the header does not say
DEPRECATED = {
    "ggml_type_sizef": "ggml_row_size",
    "ggml_add1": "ggml_add",
    "ggml_add1_inplace": "ggml_add_inplace",
    "ggml_mul_mat_set_prec": "ggml_prec_set_acc",
    "ggml_rope_custom": "ggml_rope_ext",
    "ggml_rope_custom_inplace": "ggml_rope_ext_inplace",
    "ggml_upscale_ext": "ggml_interpolate",
    "ggml_flash_attn_ext_set_prec": "ggml_prec_set_acc",
    "llama_load_model_from_file": "llama_model_load_from_file",
    "llama_free_model": "llama_model_free",
    "llama_new_context_with_model": "llama_init_from_model",
    "llama_n_ctx_train": "llama_model_n_ctx_train",
    "llama_n_embd": "llama_model_n_embd",
    "llama_n_layer": "llama_model_n_layer",
    "llama_n_head": "llama_model_n_head",
    "llama_n_vocab": "llama_vocab_n_tokens",
    "llama_get_state_size": "llama_state_get_size",
    "llama_copy_state_data": "llama_state_get_data",
    "llama_set_state_data": "llama_state_set_data",
    "llama_load_session_file": "llama_state_load_file",
    "llama_save_session_file": "llama_state_save_file",
    "llama_set_warmup": None,
    "llama_token_get_text": "llama_vocab_get_text",
    "llama_token_get_score": "llama_vocab_get_score",
    "llama_token_get_attr": "llama_vocab_get_attr",
    "llama_token_is_eog": "llama_vocab_is_eog",
    "llama_token_is_control": "llama_vocab_is_control",
    "llama_token_bos": "llama_vocab_bos",
    "llama_token_eos": "llama_vocab_eos",
    "llama_token_eot": "llama_vocab_eot",
    "llama_token_cls": "llama_vocab_cls",
    "llama_token_sep": "llama_vocab_sep",
    "llama_token_nl": "llama_vocab_nl",
    "llama_token_pad": "llama_vocab_pad",
    "llama_add_bos_token": "llama_vocab_get_add_bos",
    "llama_add_eos_token": "llama_vocab_get_add_eos",
    "llama_token_fim_pre": "llama_vocab_fim_pre",
    "llama_token_fim_suf": "llama_vocab_fim_suf",
    "llama_token_fim_mid": "llama_vocab_fim_mid",
    "llama_token_fim_pad": "llama_vocab_fim_pad",
    "llama_token_fim_rep": "llama_vocab_fim_rep",
    "llama_token_fim_sep": "llama_vocab_fim_sep",
    "llama_vocab_cls": "llama_vocab_bos",
    "llama_sampler_init_grammar_lazy": "llama_sampler_init_grammar_lazy_patterns",
}

# Header -> its functions: the result and the parameters of each. They are text, evaluated when
# first asked for, because compiling them would take longer than importing all the rest.
_SIGNATURES = {
    "ggml.h": """
ggml_set_abort_callback: ggml_abort_callback_t, ggml_abort_callback_t,
ggml_abort: None, c_char_p, c_int, c_char_p,
ggml_status_to_string: c_char_p, c_int,
ggml_fp16_to_fp32: c_float, ggml_fp16_t,
ggml_fp32_to_fp16: ggml_fp16_t, c_float,
ggml_fp16_to_fp32_row: None, POINTER(ggml_fp16_t), POINTER(c_float), c_int64,
ggml_fp32_to_fp16_row: None, POINTER(c_float), POINTER(ggml_fp16_t), c_int64,
ggml_fp32_to_bf16: ggml_bf16_t, c_float,
ggml_bf16_to_fp32: c_float, ggml_bf16_t,
ggml_bf16_to_fp32_row: None, POINTER(ggml_bf16_t), POINTER(c_float), c_int64,
ggml_fp32_to_bf16_row_ref: None, POINTER(c_float), POINTER(ggml_bf16_t), c_int64,
ggml_fp32_to_bf16_row: None, POINTER(c_float), POINTER(ggml_bf16_t), c_int64,
ggml_guid_matches: c_bool, ggml_guid_t, ggml_guid_t,
ggml_version: c_char_p,
ggml_commit: c_char_p,
ggml_time_init: None,
ggml_time_ms: c_int64,
ggml_time_us: c_int64,
ggml_cycles: c_int64,
ggml_cycles_per_ms: c_int64,
ggml_fopen: FILE, c_char_p, c_char_p,
ggml_print_object: None, ggml_object,
ggml_print_objects: None, ggml_context,
ggml_nelements: c_int64, POINTER(ggml_tensor),
ggml_nrows: c_int64, POINTER(ggml_tensor),
ggml_nbytes: c_size_t, POINTER(ggml_tensor),
ggml_nbytes_pad: c_size_t, POINTER(ggml_tensor),
ggml_blck_size: c_int64, c_int,
ggml_type_size: c_size_t, c_int,
ggml_row_size: c_size_t, c_int, c_int64,
ggml_type_sizef: c_double, c_int,
ggml_type_name: c_char_p, c_int,
ggml_op_name: c_char_p, c_int,
ggml_op_symbol: c_char_p, c_int,
ggml_unary_op_name: c_char_p, c_int,
ggml_glu_op_name: c_char_p, c_int,
ggml_op_desc: c_char_p, POINTER(ggml_tensor),
ggml_element_size: c_size_t, POINTER(ggml_tensor),
ggml_is_quantized: c_bool, c_int,
ggml_ftype_to_ggml_type: c_int, c_int,
ggml_is_transposed: c_bool, POINTER(ggml_tensor),
ggml_is_permuted: c_bool, POINTER(ggml_tensor),
ggml_is_empty: c_bool, POINTER(ggml_tensor),
ggml_is_view: c_bool, POINTER(ggml_tensor),
ggml_is_scalar: c_bool, POINTER(ggml_tensor),
ggml_is_vector: c_bool, POINTER(ggml_tensor),
ggml_is_matrix: c_bool, POINTER(ggml_tensor),
ggml_is_3d: c_bool, POINTER(ggml_tensor),
ggml_n_dims: c_int, POINTER(ggml_tensor),
ggml_is_contiguous: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_0: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_1: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_2: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_to_1: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_to_2: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_to_3: c_bool, POINTER(ggml_tensor),
ggml_is_contiguously_allocated: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_channels: c_bool, POINTER(ggml_tensor),
ggml_is_contiguous_rows: c_bool, POINTER(ggml_tensor),
ggml_are_same_shape: c_bool, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_are_same_stride: c_bool, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_can_repeat: c_bool, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_tensor_overhead: c_size_t,
ggml_validate_row_data: c_bool, c_int, c_void_p, c_size_t,
ggml_init: ggml_context, ggml_init_params,
ggml_reset: None, ggml_context,
ggml_free: None, ggml_context,
ggml_used_mem: c_size_t, ggml_context,
ggml_get_no_alloc: c_bool, ggml_context,
ggml_set_no_alloc: None, ggml_context, c_bool,
ggml_get_mem_buffer: c_void_p, ggml_context,
ggml_get_mem_size: c_size_t, ggml_context,
ggml_get_max_tensor_size: c_size_t, ggml_context,
ggml_new_tensor: POINTER(ggml_tensor), ggml_context, c_int, c_int, POINTER(c_int64),
ggml_new_tensor_1d: POINTER(ggml_tensor), ggml_context, c_int, c_int64,
ggml_new_tensor_2d: POINTER(ggml_tensor), ggml_context, c_int, c_int64, c_int64,
ggml_new_tensor_3d: POINTER(ggml_tensor), ggml_context, c_int, c_int64, c_int64, c_int64,
ggml_new_tensor_4d: POINTER(ggml_tensor), ggml_context, c_int, c_int64, c_int64, c_int64, c_int64,
ggml_new_buffer: c_void_p, ggml_context, c_size_t,
ggml_dup_tensor: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_view_tensor: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_get_first_tensor: POINTER(ggml_tensor), ggml_context,
ggml_get_next_tensor: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_get_tensor: POINTER(ggml_tensor), ggml_context, c_char_p,
ggml_unravel_index: None, POINTER(ggml_tensor), c_int64, POINTER(c_int64), POINTER(c_int64), POINTER(c_int64), POINTER(c_int64),
ggml_get_unary_op: c_int, POINTER(ggml_tensor),
ggml_get_glu_op: c_int, POINTER(ggml_tensor),
ggml_get_data: c_void_p, POINTER(ggml_tensor),
ggml_get_data_f32: POINTER(c_float), POINTER(ggml_tensor),
ggml_get_name: c_char_p, POINTER(ggml_tensor),
ggml_set_name: POINTER(ggml_tensor), POINTER(ggml_tensor), c_char_p,
ggml_format_name: POINTER(ggml_tensor), POINTER(ggml_tensor), c_char_p,
ggml_set_input: None, POINTER(ggml_tensor),
ggml_set_output: None, POINTER(ggml_tensor),
ggml_set_param: None, POINTER(ggml_tensor),
ggml_set_loss: None, POINTER(ggml_tensor),
ggml_dup: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_dup_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_add: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_add_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_add_cast: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int,
ggml_add_id: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_add1: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_add1_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_acc: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t, c_size_t, c_size_t,
ggml_acc_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t, c_size_t, c_size_t,
ggml_sub: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_sub_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_mul: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_mul_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_div: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_div_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_sqr: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sqr_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sqrt: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sqrt_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_log: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_log_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_expm1: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_expm1_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_softplus: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_softplus_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sin: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sin_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_cos: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_cos_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sum: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sum_rows: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_cumsum: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_mean: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_argmax: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_count_equal: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_repeat: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_repeat_4d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_int64,
ggml_repeat_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_concat: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int,
ggml_abs: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_abs_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sgn: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sgn_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_neg: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_neg_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_step: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_step_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_tanh: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_tanh_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_elu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_elu_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_relu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_leaky_relu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_bool,
ggml_relu_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sigmoid: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_sigmoid_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu_erf: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu_erf_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu_quick: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_gelu_quick_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_silu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_silu_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_silu_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_hardswish: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_hardsigmoid: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_exp: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_exp_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_floor: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_floor_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_ceil: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_ceil_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_round: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_round_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_trunc: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_trunc_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_xielu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_float, c_float, c_float,
ggml_glu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_bool,
ggml_reglu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_reglu_swapped: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu_swapped: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_swiglu: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_swiglu_swapped: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu_erf: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu_erf_swapped: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu_quick: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_geglu_quick_swapped: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_glu_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int,
ggml_reglu_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_geglu_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_swiglu_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_geglu_erf_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_geglu_quick_split: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_swiglu_oai: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float,
ggml_swiglu_clamp: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float,
ggml_norm: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_norm_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_rms_norm: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_rms_norm_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_group_norm: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_float,
ggml_group_norm_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_float,
ggml_l2_norm: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_l2_norm_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_rms_norm_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float,
ggml_prec_set_acc: c_bool, POINTER(ggml_tensor), c_int,
ggml_prec_set_src: c_bool, POINTER(ggml_tensor), c_int, c_int,
ggml_mul_mat: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_mul_mat_set_prec: None, POINTER(ggml_tensor), c_int,
ggml_mul_mat_set_hint: None, POINTER(ggml_tensor), c_int,
ggml_mul_mat_id: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_out_prod: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_scale: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_scale_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_scale_bias: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_float,
ggml_scale_bias_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_float,
ggml_set: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t, c_size_t, c_size_t,
ggml_set_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t, c_size_t, c_size_t,
ggml_set_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t,
ggml_set_1d_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t,
ggml_set_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t,
ggml_set_2d_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_size_t, c_size_t,
ggml_cpy: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_cast: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_cont: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_cont_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64,
ggml_cont_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64,
ggml_cont_3d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64,
ggml_cont_4d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_int64,
ggml_reshape: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_reshape_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64,
ggml_reshape_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64,
ggml_reshape_3d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64,
ggml_reshape_4d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_int64,
ggml_view_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_size_t,
ggml_view_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_size_t, c_size_t,
ggml_view_3d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_size_t, c_size_t, c_size_t,
ggml_view_4d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_int64, c_size_t, c_size_t, c_size_t, c_size_t,
ggml_permute: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_transpose: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_get_rows: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_get_rows_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_set_rows: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_diag: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_diag_mask_inf: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_diag_mask_inf_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_diag_mask_zero: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_diag_mask_zero_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_clamp: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_float,
ggml_clamp_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float, c_float,
ggml_soft_max: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_soft_max_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor),
ggml_soft_max_ext: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float,
ggml_soft_max_ext_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float,
ggml_soft_max_add_sinks: None, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_soft_max_ext_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float,
ggml_soft_max_ext_back_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float,
ggml_rope: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int,
ggml_rope_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int,
ggml_rope_ext: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_multi: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, POINTER(c_int), c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_ext_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_multi_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, POINTER(c_int), c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_custom: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_custom_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_yarn_corr_dims: None, c_int, c_int, c_float, c_float, c_float, POINTER(c_float),
ggml_rope_ext_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_multi_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, POINTER(c_int), c_int, c_int, c_float, c_float, c_float, c_float, c_float, c_float,
ggml_rope_set_offset: POINTER(ggml_tensor), POINTER(ggml_tensor), c_int,
ggml_im2col: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int, c_bool, c_int,
ggml_im2col_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(c_int64), c_int, c_int, c_int, c_int, c_int, c_int, c_bool,
ggml_col2im_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int,
ggml_conv_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int,
ggml_conv_1d_ph: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int,
ggml_conv_1d_dw: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int,
ggml_conv_1d_dw_ph: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int,
ggml_conv_transpose_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int,
ggml_conv_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int,
ggml_im2col_3d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int64, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int,
ggml_conv_3d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int64, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int,
ggml_conv_2d_sk_p0: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_conv_2d_s1_ph: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_conv_2d_dw: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int,
ggml_conv_2d_dw_direct: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int,
ggml_conv_transpose_2d_p0: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int,
ggml_conv_2d_direct: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int,
ggml_conv_3d_direct: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int,
ggml_pool_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_pool_2d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_float, c_float,
ggml_pool_2d_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_float, c_float,
ggml_upscale: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int,
ggml_upscale_ext: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int,
ggml_interpolate: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int64, c_int64, c_int64, c_int64, c_uint32,
ggml_pad: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_pad_circular: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_pad_ext: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int,
ggml_pad_ext_circular: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int,
ggml_pad_reflect_1d: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int,
ggml_roll: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_tri: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_fill: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_fill_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_float,
ggml_timestep_embedding: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int,
ggml_argsort: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_argsort_top_k: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_top_k: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_arange: POINTER(ggml_tensor), ggml_context, c_float, c_float, c_float,
ggml_flash_attn_ext: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_float, c_float,
ggml_flash_attn_ext_set_prec: None, POINTER(ggml_tensor), c_int,
ggml_flash_attn_ext_get_prec: c_int, POINTER(ggml_tensor),
ggml_flash_attn_ext_set_n_kv_max: None, POINTER(ggml_tensor), c_int32,
ggml_flash_attn_ext_add_sinks: None, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_flash_attn_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_bool,
ggml_ssm_conv: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_ssm_scan: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int64,
ggml_win_part: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_win_unpart: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int, c_int,
ggml_unary: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_unary_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int,
ggml_get_rel_pos: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), c_int, c_int,
ggml_add_rel_pos: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_add_rel_pos_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_rwkv_wkv6: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_gated_linear_attn: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_float,
ggml_rwkv_wkv7: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_solve_tri: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_bool, c_bool, c_bool,
ggml_gated_delta_net: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_int64,
ggml_lightning_indexer: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_dsv4_hc_comb: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), c_float, c_int32,
ggml_dsv4_hc_pre: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_dsv4_hc_pre_gated: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), c_float,
ggml_dsv4_hc_post: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_map_custom1: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), ggml_custom1_op_t, c_int, c_void_p,
ggml_map_custom1_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), ggml_custom1_op_t, c_int, c_void_p,
ggml_map_custom2: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_custom2_op_t, c_int, c_void_p,
ggml_map_custom2_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_custom2_op_t, c_int, c_void_p,
ggml_map_custom3: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_custom3_op_t, c_int, c_void_p,
ggml_map_custom3_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_custom3_op_t, c_int, c_void_p,
ggml_custom_4d: POINTER(ggml_tensor), ggml_context, c_int, c_int64, c_int64, c_int64, c_int64, POINTER(POINTER(ggml_tensor)), c_int, ggml_custom_op_t, c_int, c_void_p,
ggml_custom_inplace: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(POINTER(ggml_tensor)), c_int, ggml_custom_op_t, c_int, c_void_p,
ggml_cross_entropy_loss: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_cross_entropy_loss_back: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_opt_step_adamw: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_opt_step_sgd: POINTER(ggml_tensor), ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_build_forward_select: POINTER(ggml_tensor), ggml_cgraph, POINTER(POINTER(ggml_tensor)), c_int, c_int,
ggml_build_forward_expand: None, ggml_cgraph, POINTER(ggml_tensor),
ggml_build_forward_order: None, ggml_cgraph, POINTER(ggml_tensor),
ggml_build_backward_expand: None, ggml_context, ggml_cgraph, POINTER(POINTER(ggml_tensor)),
ggml_new_graph: ggml_cgraph, ggml_context,
ggml_new_graph_custom: ggml_cgraph, ggml_context, c_size_t, c_bool,
ggml_graph_dup: ggml_cgraph, ggml_context, ggml_cgraph, c_bool,
ggml_graph_cpy: None, ggml_cgraph, ggml_cgraph,
ggml_graph_reset: None, ggml_cgraph,
ggml_graph_clear: None, ggml_cgraph,
ggml_graph_size: c_int, ggml_cgraph,
ggml_graph_node: POINTER(ggml_tensor), ggml_cgraph, c_int,
ggml_graph_nodes: POINTER(POINTER(ggml_tensor)), ggml_cgraph,
ggml_graph_n_nodes: c_int, ggml_cgraph,
ggml_graph_add_node: None, ggml_cgraph, POINTER(ggml_tensor),
ggml_graph_overhead: c_size_t,
ggml_graph_overhead_custom: c_size_t, c_size_t, c_bool,
ggml_graph_get_tensor: POINTER(ggml_tensor), ggml_cgraph, c_char_p,
ggml_graph_get_grad: POINTER(ggml_tensor), ggml_cgraph, POINTER(ggml_tensor),
ggml_graph_get_grad_acc: POINTER(ggml_tensor), ggml_cgraph, POINTER(ggml_tensor),
ggml_graph_print: None, ggml_cgraph,
ggml_graph_dump_dot: None, ggml_cgraph, ggml_cgraph, c_char_p,
ggml_log_get: None, POINTER(ggml_log_callback), POINTER(c_void_p),
ggml_log_set: None, ggml_log_callback, c_void_p,
ggml_set_zero: POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_quantize_init: None, c_int,
ggml_quantize_free: None,
ggml_quantize_requires_imatrix: c_bool, c_int,
ggml_quantize_chunk: c_size_t, c_int, POINTER(c_float), c_void_p, c_int64, c_int64, c_int64, POINTER(c_float),
ggml_get_type_traits: POINTER(ggml_type_traits), c_int,
ggml_threadpool_params_default: ggml_threadpool_params, c_int,
ggml_threadpool_params_init: None, POINTER(ggml_threadpool_params), c_int,
ggml_threadpool_params_match: c_bool, POINTER(ggml_threadpool_params), POINTER(ggml_threadpool_params),
""",
    "ggml-alloc.h": """
ggml_tallocr_new: ggml_tallocr, ggml_backend_buffer_t,
ggml_tallocr_alloc: c_int, POINTER(ggml_tallocr), POINTER(ggml_tensor),
ggml_gallocr_new: ggml_gallocr_t, ggml_backend_buffer_type_t,
ggml_gallocr_new_n: ggml_gallocr_t, POINTER(ggml_backend_buffer_type_t), c_int,
ggml_gallocr_free: None, ggml_gallocr_t,
ggml_gallocr_reserve: c_bool, ggml_gallocr_t, ggml_cgraph,
ggml_gallocr_reserve_n_size: None, ggml_gallocr_t, ggml_cgraph, POINTER(c_int), POINTER(c_int), POINTER(c_size_t),
ggml_gallocr_reserve_n: c_bool, ggml_gallocr_t, ggml_cgraph, POINTER(c_int), POINTER(c_int),
ggml_gallocr_alloc_graph: c_bool, ggml_gallocr_t, ggml_cgraph,
ggml_gallocr_get_buffer_size: c_size_t, ggml_gallocr_t, c_int,
ggml_backend_alloc_ctx_tensors_from_buft_size: c_size_t, ggml_context, ggml_backend_buffer_type_t,
ggml_backend_alloc_ctx_tensors_from_buft: ggml_backend_buffer, ggml_context, ggml_backend_buffer_type_t,
ggml_backend_alloc_ctx_tensors: ggml_backend_buffer, ggml_context, ggml_backend_t,
""",
    "ggml-backend.h": """
ggml_backend_buft_name: c_char_p, ggml_backend_buffer_type_t,
ggml_backend_buft_alloc_buffer: ggml_backend_buffer_t, ggml_backend_buffer_type_t, c_size_t,
ggml_backend_buft_alloc_buffer_n: ggml_backend_buffer_t, ggml_backend_buffer_type_t, POINTER(POINTER(ggml_tensor)), c_int,
ggml_backend_buft_get_alignment: c_size_t, ggml_backend_buffer_type_t,
ggml_backend_buft_get_max_size: c_size_t, ggml_backend_buffer_type_t,
ggml_backend_buft_get_alloc_size: c_size_t, ggml_backend_buffer_type_t, POINTER(ggml_tensor),
ggml_backend_buft_get_alloc_size_n: c_size_t, ggml_backend_buffer_type_t, POINTER(POINTER(ggml_tensor)), c_int,
ggml_backend_buft_is_host: c_bool, ggml_backend_buffer_type_t,
ggml_backend_buft_get_device: ggml_backend_dev_t, ggml_backend_buffer_type_t,
ggml_backend_buffer_name: c_char_p, ggml_backend_buffer_t,
ggml_backend_buffer_free: None, ggml_backend_buffer_t,
ggml_backend_buffer_get_base: c_void_p, ggml_backend_buffer_t,
ggml_backend_buffer_get_size: c_size_t, ggml_backend_buffer_t,
ggml_backend_buffer_init_tensor: c_int, ggml_backend_buffer_t, POINTER(ggml_tensor),
ggml_backend_buffer_get_alignment: c_size_t, ggml_backend_buffer_t,
ggml_backend_buffer_get_max_size: c_size_t, ggml_backend_buffer_t,
ggml_backend_buffer_get_alloc_size: c_size_t, ggml_backend_buffer_t, POINTER(ggml_tensor),
ggml_backend_buffer_clear: None, ggml_backend_buffer_t, c_uint8,
ggml_backend_buffer_is_host: c_bool, ggml_backend_buffer_t,
ggml_backend_buffer_set_usage: None, ggml_backend_buffer_t, c_int,
ggml_backend_buffer_get_usage: c_int, ggml_backend_buffer_t,
ggml_backend_buffer_get_type: ggml_backend_buffer_type_t, ggml_backend_buffer_t,
ggml_backend_buffer_reset: None, ggml_backend_buffer_t,
ggml_backend_tensor_copy: None, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_backend_guid: ggml_guid_t, ggml_backend_t,
ggml_backend_name: c_char_p, ggml_backend_t,
ggml_backend_free: None, ggml_backend_t,
ggml_backend_get_default_buffer_type: ggml_backend_buffer_type_t, ggml_backend_t,
ggml_backend_alloc_buffer: ggml_backend_buffer_t, ggml_backend_t, c_size_t,
ggml_backend_get_alignment: c_size_t, ggml_backend_t,
ggml_backend_get_max_size: c_size_t, ggml_backend_t,
ggml_backend_tensor_set_async: None, ggml_backend_t, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t,
ggml_backend_tensor_get_async: None, ggml_backend_t, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t,
ggml_backend_tensor_set_2d_async: None, ggml_backend_t, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t,
ggml_backend_tensor_get_2d_async: None, ggml_backend_t, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t,
ggml_backend_tensor_set: None, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t,
ggml_backend_tensor_get: None, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t,
ggml_backend_tensor_set_2d: None, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t,
ggml_backend_tensor_get_2d: None, POINTER(ggml_tensor), c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t,
ggml_backend_tensor_memset: None, POINTER(ggml_tensor), c_uint8, c_size_t, c_size_t,
ggml_backend_synchronize: None, ggml_backend_t,
ggml_backend_graph_plan_create: ggml_backend_graph_plan_t, ggml_backend_t, ggml_cgraph,
ggml_backend_graph_plan_free: None, ggml_backend_t, ggml_backend_graph_plan_t,
ggml_backend_graph_plan_compute: c_int, ggml_backend_t, ggml_backend_graph_plan_t,
ggml_backend_graph_compute: c_int, ggml_backend_t, ggml_cgraph,
ggml_backend_graph_compute_async: c_int, ggml_backend_t, ggml_cgraph,
ggml_backend_supports_op: c_bool, ggml_backend_t, POINTER(ggml_tensor),
ggml_backend_supports_buft: c_bool, ggml_backend_t, ggml_backend_buffer_type_t,
ggml_backend_offload_op: c_bool, ggml_backend_t, POINTER(ggml_tensor),
ggml_backend_tensor_copy_async: None, ggml_backend_t, ggml_backend_t, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_backend_get_device: ggml_backend_dev_t, ggml_backend_t,
ggml_backend_event_new: ggml_backend_event_t, ggml_backend_dev_t,
ggml_backend_event_free: None, ggml_backend_event_t,
ggml_backend_event_record: None, ggml_backend_event_t, ggml_backend_t,
ggml_backend_event_synchronize: None, ggml_backend_event_t,
ggml_backend_event_wait: None, ggml_backend_t, ggml_backend_event_t,
ggml_backend_dev_name: c_char_p, ggml_backend_dev_t,
ggml_backend_dev_description: c_char_p, ggml_backend_dev_t,
ggml_backend_dev_memory: None, ggml_backend_dev_t, POINTER(c_size_t), POINTER(c_size_t),
ggml_backend_dev_type: c_int, ggml_backend_dev_t,
ggml_backend_dev_get_props: None, ggml_backend_dev_t, POINTER(ggml_backend_dev_props),
ggml_backend_dev_backend_reg: ggml_backend_reg_t, ggml_backend_dev_t,
ggml_backend_dev_init: ggml_backend_t, ggml_backend_dev_t, c_char_p,
ggml_backend_dev_buffer_type: ggml_backend_buffer_type_t, ggml_backend_dev_t,
ggml_backend_dev_host_buffer_type: ggml_backend_buffer_type_t, ggml_backend_dev_t,
ggml_backend_dev_buffer_from_host_ptr: ggml_backend_buffer_t, ggml_backend_dev_t, c_void_p, c_size_t, c_size_t,
ggml_backend_dev_supports_op: c_bool, ggml_backend_dev_t, POINTER(ggml_tensor),
ggml_backend_dev_supports_buft: c_bool, ggml_backend_dev_t, ggml_backend_buffer_type_t,
ggml_backend_dev_offload_op: c_bool, ggml_backend_dev_t, POINTER(ggml_tensor),
ggml_backend_reg_name: c_char_p, ggml_backend_reg_t,
ggml_backend_reg_dev_count: c_size_t, ggml_backend_reg_t,
ggml_backend_reg_dev_get: ggml_backend_dev_t, ggml_backend_reg_t, c_size_t,
ggml_backend_reg_get_proc_address: c_void_p, ggml_backend_reg_t, c_char_p,
ggml_backend_register: None, ggml_backend_reg_t,
ggml_backend_device_register: None, ggml_backend_dev_t,
ggml_backend_reg_count: c_size_t,
ggml_backend_reg_get: ggml_backend_reg_t, c_size_t,
ggml_backend_reg_by_name: ggml_backend_reg_t, c_char_p,
ggml_backend_dev_count: c_size_t,
ggml_backend_dev_get: ggml_backend_dev_t, c_size_t,
ggml_backend_dev_by_name: ggml_backend_dev_t, c_char_p,
ggml_backend_dev_by_type: ggml_backend_dev_t, c_int,
ggml_backend_init_by_name: ggml_backend_t, c_char_p, c_char_p,
ggml_backend_init_by_type: ggml_backend_t, c_int, c_char_p,
ggml_backend_init_best: ggml_backend_t,
ggml_backend_load: ggml_backend_reg_t, c_char_p,
ggml_backend_unload: None, ggml_backend_reg_t,
ggml_backend_load_all: None,
ggml_backend_load_all_from_path: None, c_char_p,
ggml_backend_sched_new: ggml_backend_sched_t, POINTER(ggml_backend_t), POINTER(ggml_backend_buffer_type_t), c_int, c_size_t, c_bool, c_bool,
ggml_backend_sched_free: None, ggml_backend_sched_t,
ggml_backend_sched_reserve_size: None, ggml_backend_sched_t, ggml_cgraph, POINTER(c_size_t),
ggml_backend_sched_reserve: c_bool, ggml_backend_sched_t, ggml_cgraph,
ggml_backend_sched_get_n_backends: c_int, ggml_backend_sched_t,
ggml_backend_sched_get_backend: ggml_backend_t, ggml_backend_sched_t, c_int,
ggml_backend_sched_get_n_splits: c_int, ggml_backend_sched_t,
ggml_backend_sched_get_n_copies: c_int, ggml_backend_sched_t,
ggml_backend_sched_get_buffer_type: ggml_backend_buffer_type_t, ggml_backend_sched_t, ggml_backend_t,
ggml_backend_sched_get_buffer_size: c_size_t, ggml_backend_sched_t, ggml_backend_t,
ggml_backend_sched_set_tensor_backend: None, ggml_backend_sched_t, POINTER(ggml_tensor), ggml_backend_t,
ggml_backend_sched_get_tensor_backend: ggml_backend_t, ggml_backend_sched_t, POINTER(ggml_tensor),
ggml_backend_sched_split_graph: None, ggml_backend_sched_t, ggml_cgraph,
ggml_backend_sched_alloc_graph: c_bool, ggml_backend_sched_t, ggml_cgraph,
ggml_backend_sched_graph_compute: c_int, ggml_backend_sched_t, ggml_cgraph,
ggml_backend_sched_graph_compute_async: c_int, ggml_backend_sched_t, ggml_cgraph,
ggml_backend_sched_synchronize: None, ggml_backend_sched_t,
ggml_backend_sched_reset: None, ggml_backend_sched_t,
ggml_backend_sched_set_eval_callback: None, ggml_backend_sched_t, ggml_backend_sched_eval_callback, c_void_p,
ggml_backend_sched_set_copy_callback: None, ggml_backend_sched_t, ggml_backend_sched_copy_callback, c_void_p,
ggml_backend_meta_split_axis_name: c_char_p, c_int,
ggml_backend_meta_device: ggml_backend_dev_t, POINTER(ggml_backend_dev_t), c_size_t, ggml_backend_meta_get_split_state_t, c_void_p,
ggml_backend_graph_copy: ggml_backend_graph_copy_struct, ggml_backend_t, ggml_cgraph,
ggml_backend_graph_copy_free: None, ggml_backend_graph_copy_struct,
ggml_backend_compare_graph_backend: c_bool, ggml_backend_t, ggml_backend_t, ggml_cgraph, ggml_backend_eval_callback, c_void_p, POINTER(POINTER(ggml_tensor)), c_size_t,
ggml_backend_tensor_alloc: c_int, ggml_backend_buffer_t, POINTER(ggml_tensor), c_void_p,
ggml_backend_view_init: c_int, POINTER(ggml_tensor),
ggml_backend_cpu_buffer_from_ptr: ggml_backend_buffer_t, c_void_p, c_size_t,
ggml_backend_cpu_buffer_type: ggml_backend_buffer_type_t,
""",
    "ggml-cpu.h": """
ggml_numa_init: None, c_int,
ggml_is_numa: c_bool,
ggml_new_i32: POINTER(ggml_tensor), ggml_context, c_int32,
ggml_new_f32: POINTER(ggml_tensor), ggml_context, c_float,
ggml_set_i32: POINTER(ggml_tensor), POINTER(ggml_tensor), c_int32,
ggml_set_f32: POINTER(ggml_tensor), POINTER(ggml_tensor), c_float,
ggml_get_i32_1d: c_int32, POINTER(ggml_tensor), c_int,
ggml_set_i32_1d: None, POINTER(ggml_tensor), c_int, c_int32,
ggml_get_i32_nd: c_int32, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_set_i32_nd: None, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_int32,
ggml_get_f32_1d: c_float, POINTER(ggml_tensor), c_int,
ggml_set_f32_1d: None, POINTER(ggml_tensor), c_int, c_float,
ggml_get_f32_nd: c_float, POINTER(ggml_tensor), c_int, c_int, c_int, c_int,
ggml_set_f32_nd: None, POINTER(ggml_tensor), c_int, c_int, c_int, c_int, c_float,
ggml_threadpool_new: ggml_threadpool, POINTER(ggml_threadpool_params),
ggml_threadpool_free: None, ggml_threadpool,
ggml_threadpool_get_n_threads: c_int, ggml_threadpool,
ggml_threadpool_pause: None, ggml_threadpool,
ggml_threadpool_resume: None, ggml_threadpool,
ggml_graph_plan: ggml_cplan, ggml_cgraph, c_int, ggml_threadpool,
ggml_graph_compute: c_int, ggml_cgraph, POINTER(ggml_cplan),
ggml_graph_compute_with_ctx: c_int, ggml_context, ggml_cgraph, c_int,
ggml_cpu_has_sse3: c_int,
ggml_cpu_has_ssse3: c_int,
ggml_cpu_has_avx: c_int,
ggml_cpu_has_avx_vnni: c_int,
ggml_cpu_has_avx2: c_int,
ggml_cpu_has_bmi2: c_int,
ggml_cpu_has_f16c: c_int,
ggml_cpu_has_fma: c_int,
ggml_cpu_has_avx512: c_int,
ggml_cpu_has_avx512_vbmi: c_int,
ggml_cpu_has_avx512_vnni: c_int,
ggml_cpu_has_avx512_bf16: c_int,
ggml_cpu_has_amx_int8: c_int,
ggml_cpu_has_neon: c_int,
ggml_cpu_has_arm_fma: c_int,
ggml_cpu_has_fp16_va: c_int,
ggml_cpu_has_dotprod: c_int,
ggml_cpu_has_matmul_int8: c_int,
ggml_cpu_has_sve: c_int,
ggml_cpu_get_sve_cnt: c_int,
ggml_cpu_has_sme: c_int,
ggml_cpu_has_sme2: c_int,
ggml_cpu_has_riscv_v: c_int,
ggml_cpu_get_rvv_vlen: c_int,
ggml_cpu_has_vsx: c_int,
ggml_cpu_has_vxe: c_int,
ggml_cpu_has_wasm_simd: c_int,
ggml_cpu_has_llamafile: c_int,
ggml_get_type_traits_cpu: POINTER(ggml_type_traits_cpu), c_int,
ggml_cpu_init: None,
ggml_backend_cpu_init: ggml_backend_t,
ggml_backend_is_cpu: c_bool, ggml_backend_t,
ggml_backend_cpu_set_n_threads: None, ggml_backend_t, c_int,
ggml_backend_cpu_set_threadpool: None, ggml_backend_t, ggml_threadpool_t,
ggml_backend_cpu_set_abort_callback: None, ggml_backend_t, ggml_abort_callback, c_void_p,
ggml_backend_cpu_set_use_ref: None, ggml_backend_t, c_bool,
ggml_backend_cpu_reg: ggml_backend_reg_t,
ggml_cpu_fp32_to_fp32: None, POINTER(c_float), POINTER(c_float), c_int64,
ggml_cpu_fp32_to_i32: None, POINTER(c_float), POINTER(c_int32), c_int64,
ggml_cpu_fp32_to_fp16: None, POINTER(c_float), POINTER(ggml_fp16_t), c_int64,
ggml_cpu_fp16_to_fp32: None, POINTER(ggml_fp16_t), POINTER(c_float), c_int64,
ggml_cpu_fp32_to_bf16: None, POINTER(c_float), POINTER(ggml_bf16_t), c_int64,
ggml_cpu_bf16_to_fp32: None, POINTER(ggml_bf16_t), POINTER(c_float), c_int64,
""",
    "ggml-opt.h": """
ggml_opt_dataset_init: ggml_opt_dataset_t, c_int, c_int, c_int64, c_int64, c_int64, c_int64,
ggml_opt_dataset_free: None, ggml_opt_dataset_t,
ggml_opt_dataset_ndata: c_int64, ggml_opt_dataset_t,
ggml_opt_dataset_data: POINTER(ggml_tensor), ggml_opt_dataset_t,
ggml_opt_dataset_labels: POINTER(ggml_tensor), ggml_opt_dataset_t,
ggml_opt_dataset_shuffle: None, ggml_opt_context_t, ggml_opt_dataset_t, c_int64,
ggml_opt_dataset_get_batch: None, ggml_opt_dataset_t, POINTER(ggml_tensor), POINTER(ggml_tensor), c_int64,
ggml_opt_dataset_get_batch_host: None, ggml_opt_dataset_t, c_void_p, c_size_t, c_void_p, c_int64,
ggml_opt_get_default_optimizer_params: ggml_opt_optimizer_params, c_void_p,
ggml_opt_get_constant_optimizer_params: ggml_opt_optimizer_params, c_void_p,
ggml_opt_default_params: ggml_opt_params, ggml_backend_sched_t, c_int,
ggml_opt_init: ggml_opt_context_t, ggml_opt_params,
ggml_opt_free: None, ggml_opt_context_t,
ggml_opt_reset: None, ggml_opt_context_t, c_bool,
ggml_opt_static_graphs: c_bool, ggml_opt_context_t,
ggml_opt_inputs: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_outputs: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_labels: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_loss: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_pred: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_ncorrect: POINTER(ggml_tensor), ggml_opt_context_t,
ggml_opt_grad_acc: POINTER(ggml_tensor), ggml_opt_context_t, POINTER(ggml_tensor),
ggml_opt_context_optimizer_type: c_int, ggml_opt_context_t,
ggml_opt_optimizer_name: c_char_p, c_int,
ggml_opt_result_init: ggml_opt_result_t,
ggml_opt_result_free: None, ggml_opt_result_t,
ggml_opt_result_reset: None, ggml_opt_result_t,
ggml_opt_result_ndata: None, ggml_opt_result_t, POINTER(c_int64),
ggml_opt_result_loss: None, ggml_opt_result_t, POINTER(c_double), POINTER(c_double),
ggml_opt_result_pred: None, ggml_opt_result_t, POINTER(c_int32),
ggml_opt_result_accuracy: None, ggml_opt_result_t, POINTER(c_double), POINTER(c_double),
ggml_opt_prepare_alloc: None, ggml_opt_context_t, ggml_context, ggml_cgraph, POINTER(ggml_tensor), POINTER(ggml_tensor),
ggml_opt_alloc: None, ggml_opt_context_t, c_bool,
ggml_opt_eval: None, ggml_opt_context_t, ggml_opt_result_t,
ggml_opt_epoch: None, ggml_opt_context_t, ggml_opt_dataset_t, ggml_opt_result_t, ggml_opt_result_t, c_int64, ggml_opt_epoch_callback, ggml_opt_epoch_callback,
ggml_opt_epoch_callback_progress_bar: None, c_bool, ggml_opt_context_t, ggml_opt_dataset_t, ggml_opt_result_t, c_int64, c_int64, c_int64,
ggml_opt_fit: None, ggml_backend_sched_t, ggml_context, POINTER(ggml_tensor), POINTER(ggml_tensor), ggml_opt_dataset_t, c_int, c_int, ggml_opt_get_optimizer_params, c_int64, c_int64, c_float, c_bool,
""",
    "gguf.h": """
gguf_init_empty: gguf_context,
gguf_init_from_file_ptr: gguf_context, FILE, gguf_init_params,
gguf_init_from_file: gguf_context, c_char_p, gguf_init_params,
gguf_init_from_buffer: gguf_context, c_void_p, c_size_t, gguf_init_params,
gguf_init_from_callback: gguf_context, gguf_reader_callback_t, c_void_p, c_size_t, c_uint64, gguf_init_params,
gguf_free: None, gguf_context,
gguf_type_name: c_char_p, c_int,
gguf_get_version: c_uint32, gguf_context,
gguf_get_alignment: c_size_t, gguf_context,
gguf_get_data_offset: c_size_t, gguf_context,
gguf_get_n_kv: c_int64, gguf_context,
gguf_find_key: c_int64, gguf_context, c_char_p,
gguf_get_key: c_char_p, gguf_context, c_int64,
gguf_get_kv_type: c_int, gguf_context, c_int64,
gguf_get_arr_type: c_int, gguf_context, c_int64,
gguf_get_val_u8: c_uint8, gguf_context, c_int64,
gguf_get_val_i8: c_int8, gguf_context, c_int64,
gguf_get_val_u16: c_uint16, gguf_context, c_int64,
gguf_get_val_i16: c_int16, gguf_context, c_int64,
gguf_get_val_u32: c_uint32, gguf_context, c_int64,
gguf_get_val_i32: c_int32, gguf_context, c_int64,
gguf_get_val_f32: c_float, gguf_context, c_int64,
gguf_get_val_u64: c_uint64, gguf_context, c_int64,
gguf_get_val_i64: c_int64, gguf_context, c_int64,
gguf_get_val_f64: c_double, gguf_context, c_int64,
gguf_get_val_bool: c_bool, gguf_context, c_int64,
gguf_get_val_str: c_char_p, gguf_context, c_int64,
gguf_get_val_data: c_void_p, gguf_context, c_int64,
gguf_get_arr_n: c_size_t, gguf_context, c_int64,
gguf_get_arr_data: c_void_p, gguf_context, c_int64,
gguf_get_arr_str: c_char_p, gguf_context, c_int64, c_size_t,
gguf_get_n_tensors: c_int64, gguf_context,
gguf_find_tensor: c_int64, gguf_context, c_char_p,
gguf_get_tensor_offset: c_size_t, gguf_context, c_int64,
gguf_get_tensor_name: c_char_p, gguf_context, c_int64,
gguf_get_tensor_ne: POINTER(c_int64), gguf_context, c_int64,
gguf_get_tensor_type: c_int, gguf_context, c_int64,
gguf_get_tensor_size: c_size_t, gguf_context, c_int64,
gguf_remove_key: c_int64, gguf_context, c_char_p,
gguf_set_val_u8: None, gguf_context, c_char_p, c_uint8,
gguf_set_val_i8: None, gguf_context, c_char_p, c_int8,
gguf_set_val_u16: None, gguf_context, c_char_p, c_uint16,
gguf_set_val_i16: None, gguf_context, c_char_p, c_int16,
gguf_set_val_u32: None, gguf_context, c_char_p, c_uint32,
gguf_set_val_i32: None, gguf_context, c_char_p, c_int32,
gguf_set_val_f32: None, gguf_context, c_char_p, c_float,
gguf_set_val_u64: None, gguf_context, c_char_p, c_uint64,
gguf_set_val_i64: None, gguf_context, c_char_p, c_int64,
gguf_set_val_f64: None, gguf_context, c_char_p, c_double,
gguf_set_val_bool: None, gguf_context, c_char_p, c_bool,
gguf_set_val_str: None, gguf_context, c_char_p, c_char_p,
gguf_set_arr_data: None, gguf_context, c_char_p, c_int, c_void_p, c_size_t,
gguf_set_arr_str: None, gguf_context, c_char_p, POINTER(c_char_p), c_size_t,
gguf_set_kv: None, gguf_context, gguf_context,
gguf_add_tensor: None, gguf_context, POINTER(ggml_tensor),
gguf_set_tensor_type: None, gguf_context, c_char_p, c_int,
gguf_set_tensor_data: None, gguf_context, c_char_p, c_void_p,
gguf_write_to_file_ptr: c_bool, gguf_context, FILE, c_bool,
gguf_write_to_file: c_bool, gguf_context, c_char_p, c_bool,
gguf_get_meta_size: c_size_t, gguf_context,
gguf_get_meta_data: None, gguf_context, c_void_p,
""",
    "llama.h": """
llama_ftype_name: c_char_p, c_int,
llama_flash_attn_type_name: c_char_p, c_int,
llama_load_mode_name: c_char_p, c_int,
llama_load_mode_from_str: c_int, c_char_p,
llama_version: c_char_p,
llama_model_default_params: llama_model_params,
llama_context_default_params: llama_context_params,
llama_sampler_chain_default_params: llama_sampler_chain_params,
llama_model_quantize_default_params: llama_model_quantize_params,
llama_backend_init: None,
llama_backend_free: None,
llama_numa_init: None, c_int,
llama_attach_threadpool: None, llama_context, ggml_threadpool_t, ggml_threadpool_t,
llama_detach_threadpool: None, llama_context,
llama_model_init_from_user: llama_model, gguf_context, llama_model_set_tensor_data_t, c_void_p, llama_model_params,
llama_load_model_from_file: llama_model, c_char_p, llama_model_params,
llama_model_load_from_file: llama_model, c_char_p, llama_model_params,
llama_model_load_from_file_ptr: llama_model, FILE, llama_model_params,
llama_model_load_from_splits: llama_model, POINTER(c_char_p), c_size_t, llama_model_params,
llama_model_save_to_file: None, llama_model, c_char_p,
llama_free_model: None, llama_model,
llama_model_free: None, llama_model,
llama_init_from_model: llama_context, llama_model, llama_context_params,
llama_new_context_with_model: llama_context, llama_model, llama_context_params,
llama_free: None, llama_context,
llama_time_us: c_int64,
llama_max_devices: c_size_t,
llama_max_parallel_sequences: c_size_t,
llama_max_tensor_buft_overrides: c_size_t,
llama_supports_mmap: c_bool,
llama_supports_mlock: c_bool,
llama_supports_gpu_offload: c_bool,
llama_supports_rpc: c_bool,
llama_n_ctx: c_uint32, llama_context,
llama_n_ctx_seq: c_uint32, llama_context,
llama_n_batch: c_uint32, llama_context,
llama_n_ubatch: c_uint32, llama_context,
llama_n_seq_max: c_uint32, llama_context,
llama_n_rs_seq: c_uint32, llama_context,
llama_n_ctx_train: c_int32, llama_model,
llama_n_embd: c_int32, llama_model,
llama_n_layer: c_int32, llama_model,
llama_n_head: c_int32, llama_model,
llama_n_vocab: c_int32, llama_vocab,
llama_get_model: llama_model, llama_context,
llama_get_memory: llama_memory_t, llama_context,
llama_pooling_type: c_int, llama_context,
llama_model_get_vocab: llama_vocab, llama_model,
llama_model_rope_type: c_int, llama_model,
llama_model_n_ctx_train: c_int32, llama_model,
llama_model_n_embd: c_int32, llama_model,
llama_model_n_embd_inp: c_int32, llama_model,
llama_model_n_embd_out: c_int32, llama_model,
llama_model_n_layer: c_int32, llama_model,
llama_model_n_layer_nextn: c_int32, llama_model,
llama_model_n_head: c_int32, llama_model,
llama_model_n_head_kv: c_int32, llama_model,
llama_model_n_swa: c_int32, llama_model,
llama_model_rope_freq_scale_train: c_float, llama_model,
llama_model_n_cls_out: c_uint32, llama_model,
llama_model_cls_label: c_char_p, llama_model, c_uint32,
llama_vocab_type: c_int, llama_vocab,
llama_vocab_n_tokens: c_int32, llama_vocab,
llama_model_meta_val_str: c_int32, llama_model, c_char_p, POINTER(c_char), c_size_t,
llama_model_meta_count: c_int32, llama_model,
llama_model_meta_key_str: c_char_p, c_int,
llama_model_meta_key_by_index: c_int32, llama_model, c_int32, POINTER(c_char), c_size_t,
llama_model_meta_val_str_by_index: c_int32, llama_model, c_int32, POINTER(c_char), c_size_t,
llama_model_desc: c_int32, llama_model, POINTER(c_char), c_size_t,
llama_model_ftype: c_int, llama_model,
llama_model_size: c_uint64, llama_model,
llama_model_chat_template: c_char_p, llama_model, c_char_p,
llama_model_n_params: c_uint64, llama_model,
llama_model_has_encoder: c_bool, llama_model,
llama_model_has_decoder: c_bool, llama_model,
llama_model_decoder_start_token: llama_token, llama_model,
llama_model_is_recurrent: c_bool, llama_model,
llama_model_is_hybrid: c_bool, llama_model,
llama_model_is_diffusion: c_bool, llama_model,
llama_model_quantize: c_uint32, c_char_p, c_char_p, POINTER(llama_model_quantize_params),
llama_adapter_lora_init: llama_adapter_lora, llama_model, c_char_p,
llama_adapter_lora_init_from_file_ptr: llama_adapter_lora, llama_model, FILE,
llama_adapter_meta_val_str: c_int32, llama_adapter_lora, c_char_p, POINTER(c_char), c_size_t,
llama_adapter_meta_count: c_int32, llama_adapter_lora,
llama_adapter_meta_key_by_index: c_int32, llama_adapter_lora, c_int32, POINTER(c_char), c_size_t,
llama_adapter_meta_val_str_by_index: c_int32, llama_adapter_lora, c_int32, POINTER(c_char), c_size_t,
llama_adapter_lora_free: None, llama_adapter_lora,
llama_adapter_get_alora_n_invocation_tokens: c_uint64, llama_adapter_lora,
llama_adapter_get_alora_invocation_tokens: POINTER(llama_token), llama_adapter_lora,
llama_set_adapters_lora: c_int32, llama_context, POINTER(llama_adapter_lora), c_size_t, POINTER(c_float),
llama_set_adapter_cvec: c_int32, llama_context, POINTER(c_float), c_size_t, c_int32, c_int32, c_int32,
llama_memory_clear: None, llama_memory_t, c_bool,
llama_memory_seq_rm: c_bool, llama_memory_t, llama_seq_id, llama_pos, llama_pos,
llama_memory_seq_cp: None, llama_memory_t, llama_seq_id, llama_seq_id, llama_pos, llama_pos,
llama_memory_seq_keep: None, llama_memory_t, llama_seq_id,
llama_memory_seq_add: None, llama_memory_t, llama_seq_id, llama_pos, llama_pos, llama_pos,
llama_memory_seq_div: None, llama_memory_t, llama_seq_id, llama_pos, llama_pos, c_int,
llama_memory_seq_pos_min: llama_pos, llama_memory_t, llama_seq_id,
llama_memory_seq_pos_max: llama_pos, llama_memory_t, llama_seq_id,
llama_memory_can_shift: c_bool, llama_memory_t,
llama_state_get_size: c_size_t, llama_context,
llama_get_state_size: c_size_t, llama_context,
llama_state_get_data: c_size_t, llama_context, POINTER(c_uint8), c_size_t,
llama_copy_state_data: c_size_t, llama_context, POINTER(c_uint8),
llama_state_set_data: c_size_t, llama_context, POINTER(c_uint8), c_size_t,
llama_set_state_data: c_size_t, llama_context, POINTER(c_uint8),
llama_state_load_file: c_bool, llama_context, c_char_p, POINTER(llama_token), c_size_t, POINTER(c_size_t),
llama_load_session_file: c_bool, llama_context, c_char_p, POINTER(llama_token), c_size_t, POINTER(c_size_t),
llama_state_save_file: c_bool, llama_context, c_char_p, POINTER(llama_token), c_size_t,
llama_save_session_file: c_bool, llama_context, c_char_p, POINTER(llama_token), c_size_t,
llama_state_seq_get_size: c_size_t, llama_context, llama_seq_id,
llama_state_seq_get_data: c_size_t, llama_context, POINTER(c_uint8), c_size_t, llama_seq_id,
llama_state_seq_set_data: c_size_t, llama_context, POINTER(c_uint8), c_size_t, llama_seq_id,
llama_state_seq_save_file: c_size_t, llama_context, c_char_p, llama_seq_id, POINTER(llama_token), c_size_t,
llama_state_seq_load_file: c_size_t, llama_context, c_char_p, llama_seq_id, POINTER(llama_token), c_size_t, POINTER(c_size_t),
llama_state_seq_get_size_ext: c_size_t, llama_context, llama_seq_id, llama_state_seq_flags,
llama_state_seq_get_data_ext: c_size_t, llama_context, POINTER(c_uint8), c_size_t, llama_seq_id, llama_state_seq_flags,
llama_state_seq_set_data_ext: c_size_t, llama_context, POINTER(c_uint8), c_size_t, llama_seq_id, llama_state_seq_flags,
llama_batch_get_one: llama_batch, POINTER(llama_token), c_int32,
llama_batch_init: llama_batch, c_int32, c_int32, c_int32,
llama_batch_free: None, llama_batch,
llama_encode: c_int32, llama_context, llama_batch,
llama_decode: c_int32, llama_context, llama_batch,
llama_batch_ext_init: llama_batch_ext, llama_context,
llama_batch_ext_free: None, llama_batch_ext,
llama_batch_ext_clear: None, llama_batch_ext,
llama_batch_ext_add: c_int32, llama_batch_ext, llama_seq_id,
llama_batch_ext_add_token: c_int32, llama_batch_ext, llama_seq_id, llama_token,
llama_batch_ext_add_embd: c_int32, llama_batch_ext, llama_seq_id, llama_embd,
llama_batch_ext_add_seq: c_bool, llama_batch_ext, c_int32, llama_seq_id,
llama_batch_ext_set_embd_token: c_bool, llama_batch_ext, c_int32, llama_embd,
llama_batch_ext_set_embd_state: c_bool, llama_batch_ext, c_int32, llama_embd,
llama_batch_ext_set_output_embd: c_bool, llama_batch_ext, c_int32, c_bool,
llama_batch_ext_set_output_logits: c_bool, llama_batch_ext, c_int32, c_bool,
llama_batch_ext_set_pos: c_bool, llama_batch_ext, c_int32, POINTER(llama_pos),
llama_process: c_int32, llama_context, c_int, llama_batch_ext,
llama_set_n_threads: None, llama_context, c_int32, c_int32,
llama_n_threads: c_int32, llama_context,
llama_n_threads_batch: c_int32, llama_context,
llama_set_embeddings: None, llama_context, c_bool,
llama_set_causal_attn: None, llama_context, c_bool,
llama_get_causal_attn: c_bool, llama_context,
llama_set_warmup: None, llama_context, c_bool,
llama_set_abort_callback: None, llama_context, ggml_abort_callback, c_void_p,
llama_synchronize: None, llama_context,
llama_get_logits: POINTER(c_float), llama_context,
llama_get_logits_ith: POINTER(c_float), llama_context, c_int32,
llama_get_embeddings: POINTER(c_float), llama_context,
llama_get_embeddings_ith: POINTER(c_float), llama_context, c_int32,
llama_get_embeddings_seq: POINTER(c_float), llama_context, llama_seq_id,
llama_get_sampled_token_ith: llama_token, llama_context, c_int32,
llama_get_sampled_probs_ith: POINTER(c_float), llama_context, c_int32,
llama_get_sampled_probs_count_ith: c_uint32, llama_context, c_int32,
llama_get_sampled_logits_ith: POINTER(c_float), llama_context, c_int32,
llama_get_sampled_logits_count_ith: c_uint32, llama_context, c_int32,
llama_get_sampled_candidates_ith: POINTER(llama_token), llama_context, c_int32,
llama_get_sampled_candidates_count_ith: c_uint32, llama_context, c_int32,
llama_vocab_get_text: c_char_p, llama_vocab, llama_token,
llama_vocab_get_score: c_float, llama_vocab, llama_token,
llama_vocab_get_attr: c_int, llama_vocab, llama_token,
llama_vocab_is_eog: c_bool, llama_vocab, llama_token,
llama_vocab_is_control: c_bool, llama_vocab, llama_token,
llama_vocab_bos: llama_token, llama_vocab,
llama_vocab_eos: llama_token, llama_vocab,
llama_vocab_eot: llama_token, llama_vocab,
llama_vocab_sep: llama_token, llama_vocab,
llama_vocab_nl: llama_token, llama_vocab,
llama_vocab_pad: llama_token, llama_vocab,
llama_vocab_mask: llama_token, llama_vocab,
llama_vocab_get_add_bos: c_bool, llama_vocab,
llama_vocab_get_add_eos: c_bool, llama_vocab,
llama_vocab_get_add_sep: c_bool, llama_vocab,
llama_vocab_get_suppress_tokens: POINTER(llama_token), llama_vocab, POINTER(c_int32),
llama_vocab_fim_pre: llama_token, llama_vocab,
llama_vocab_fim_suf: llama_token, llama_vocab,
llama_vocab_fim_mid: llama_token, llama_vocab,
llama_vocab_fim_pad: llama_token, llama_vocab,
llama_vocab_fim_rep: llama_token, llama_vocab,
llama_vocab_fim_sep: llama_token, llama_vocab,
llama_token_get_text: c_char_p, llama_vocab, llama_token,
llama_token_get_score: c_float, llama_vocab, llama_token,
llama_token_get_attr: c_int, llama_vocab, llama_token,
llama_token_is_eog: c_bool, llama_vocab, llama_token,
llama_token_is_control: c_bool, llama_vocab, llama_token,
llama_token_bos: llama_token, llama_vocab,
llama_token_eos: llama_token, llama_vocab,
llama_token_eot: llama_token, llama_vocab,
llama_token_cls: llama_token, llama_vocab,
llama_token_sep: llama_token, llama_vocab,
llama_token_nl: llama_token, llama_vocab,
llama_token_pad: llama_token, llama_vocab,
llama_add_bos_token: c_bool, llama_vocab,
llama_add_eos_token: c_bool, llama_vocab,
llama_token_fim_pre: llama_token, llama_vocab,
llama_token_fim_suf: llama_token, llama_vocab,
llama_token_fim_mid: llama_token, llama_vocab,
llama_token_fim_pad: llama_token, llama_vocab,
llama_token_fim_rep: llama_token, llama_vocab,
llama_token_fim_sep: llama_token, llama_vocab,
llama_vocab_cls: llama_token, llama_vocab,
llama_tokenize: c_int32, llama_vocab, c_char_p, c_int32, POINTER(llama_token), c_int32, c_bool, c_bool,
llama_token_to_piece: c_int32, llama_vocab, llama_token, POINTER(c_char), c_int32, c_int32, c_bool,
llama_detokenize: c_int32, llama_vocab, POINTER(llama_token), c_int32, POINTER(c_char), c_int32, c_bool, c_bool,
llama_chat_apply_template: c_int32, c_char_p, POINTER(llama_chat_message), c_size_t, c_bool, POINTER(c_char), c_int32,
llama_chat_builtin_templates: c_int32, POINTER(c_char_p), c_size_t,
llama_set_sampler: c_bool, llama_context, llama_seq_id, POINTER(llama_sampler),
llama_sampler_init: POINTER(llama_sampler), POINTER(llama_sampler_i), llama_sampler_context_t,
llama_sampler_name: c_char_p, POINTER(llama_sampler),
llama_sampler_accept: None, POINTER(llama_sampler), llama_token,
llama_sampler_apply: None, POINTER(llama_sampler), POINTER(llama_token_data_array),
llama_sampler_reset: None, POINTER(llama_sampler),
llama_sampler_clone: POINTER(llama_sampler), POINTER(llama_sampler),
llama_sampler_copy: None, POINTER(llama_sampler), POINTER(llama_sampler),
llama_sampler_free: None, POINTER(llama_sampler),
llama_sampler_chain_init: POINTER(llama_sampler), llama_sampler_chain_params,
llama_sampler_chain_add: None, POINTER(llama_sampler), POINTER(llama_sampler),
llama_sampler_chain_get: POINTER(llama_sampler), POINTER(llama_sampler), c_int32,
llama_sampler_chain_n: c_int32, POINTER(llama_sampler),
llama_sampler_chain_remove: POINTER(llama_sampler), POINTER(llama_sampler), c_int32,
llama_sampler_init_greedy: POINTER(llama_sampler),
llama_sampler_init_dist: POINTER(llama_sampler), c_uint32,
llama_sampler_init_top_k: POINTER(llama_sampler), c_int32,
llama_sampler_init_top_p: POINTER(llama_sampler), c_float, c_size_t,
llama_sampler_init_min_p: POINTER(llama_sampler), c_float, c_size_t,
llama_sampler_init_typical: POINTER(llama_sampler), c_float, c_size_t,
llama_sampler_init_temp: POINTER(llama_sampler), c_float,
llama_sampler_init_temp_ext: POINTER(llama_sampler), c_float, c_float, c_float,
llama_sampler_init_xtc: POINTER(llama_sampler), c_float, c_float, c_size_t, c_uint32,
llama_sampler_init_top_n_sigma: POINTER(llama_sampler), c_float,
llama_sampler_init_mirostat: POINTER(llama_sampler), c_int32, c_uint32, c_float, c_float, c_int32,
llama_sampler_init_mirostat_v2: POINTER(llama_sampler), c_uint32, c_float, c_float,
llama_sampler_init_grammar: POINTER(llama_sampler), llama_vocab, c_char_p, c_char_p,
llama_sampler_init_grammar_lazy: POINTER(llama_sampler), llama_vocab, c_char_p, c_char_p, POINTER(c_char_p), c_size_t, POINTER(llama_token), c_size_t,
llama_sampler_init_grammar_lazy_patterns: POINTER(llama_sampler), llama_vocab, c_char_p, c_char_p, POINTER(c_char_p), c_size_t, POINTER(llama_token), c_size_t,
llama_sampler_init_penalties: POINTER(llama_sampler), c_int32, c_int32, c_float, c_float, c_float,
llama_sampler_init_dry: POINTER(llama_sampler), llama_vocab, c_float, c_float, c_int32, c_int32, POINTER(c_char_p), c_size_t,
llama_sampler_init_adaptive_p: POINTER(llama_sampler), c_float, c_float, c_uint32,
llama_sampler_init_logit_bias: POINTER(llama_sampler), c_int32, c_int32, POINTER(llama_logit_bias),
llama_sampler_init_infill: POINTER(llama_sampler), llama_vocab,
llama_sampler_get_seed: c_uint32, POINTER(llama_sampler),
llama_sampler_sample: llama_token, POINTER(llama_sampler), llama_context, c_int32,
llama_split_path: c_int32, POINTER(c_char), c_size_t, c_char_p, c_int32, c_int32,
llama_split_prefix: c_int32, POINTER(c_char), c_size_t, c_char_p, c_int32, c_int32,
llama_print_system_info: c_char_p,
llama_log_get: None, POINTER(ggml_log_callback), POINTER(c_void_p),
llama_log_set: None, ggml_log_callback, c_void_p,
llama_perf_context: llama_perf_context_data, llama_context,
llama_perf_context_print: None, llama_context,
llama_perf_context_reset: None, llama_context,
llama_perf_sampler: llama_perf_sampler_data, POINTER(llama_sampler),
llama_perf_sampler_print: None, POINTER(llama_sampler),
llama_perf_sampler_reset: None, POINTER(llama_sampler),
llama_opt_param_filter_all: c_bool, POINTER(ggml_tensor), c_void_p,
llama_opt_init: None, llama_context, llama_model, llama_opt_params,
llama_opt_epoch: None, llama_context, ggml_opt_dataset_t, ggml_opt_result_t, ggml_opt_result_t, c_int64, ggml_opt_epoch_callback, ggml_opt_epoch_callback,
""",
}
FUNCTIONS = _Made(
    _signatures("".join(_SIGNATURES.values())), lambda line: Function(line, globals())
)
HEADERS = _Made(_SIGNATURES, lambda text: tuple(map(FUNCTIONS.get, _signatures(text))))

for _type in (
    ggml_bf16_t,
    ggml_init_params,
    ggml_tensor,
    ggml_type_traits,
    ggml_threadpool_params,
    ggml_tallocr,
    ggml_backend_dev_caps,
    ggml_backend_dev_props,
    ggml_backend_feature,
    ggml_backend_meta_split_state,
    ggml_backend_graph_copy_struct,
    ggml_cplan,
    ggml_type_traits_cpu,
    ggml_opt_optimizer_params_adamw,
    ggml_opt_optimizer_params_sgd,
    ggml_opt_optimizer_params,
    ggml_opt_params,
    gguf_init_params,
    llama_token_data,
    llama_token_data_array,
    llama_batch,
    llama_model_kv_override_anonymous_0,
    llama_model_kv_override,
    llama_model_tensor_buft_override,
    llama_model_params,
    llama_sampler_seq_config,
    llama_context_params,
    llama_model_tensor_override,
    llama_model_imatrix_data,
    llama_model_quantize_params,
    llama_logit_bias,
    llama_sampler_chain_params,
    llama_chat_message,
    llama_embd,
    llama_sampler_data,
    llama_sampler_i,
    llama_sampler,
    llama_perf_context_data,
    llama_perf_sampler_data,
    llama_opt_params,
):
    _explain(_type)

# Function -> the values that it returns: the default parameters
DEFAULTS = {
    "llama_model_default_params": {
        "devices": 0,
        "tensor_buft_overrides": 0,
        "n_gpu_layers": -1,
        "split_mode": 1,
        "load_mode": -1,
        "lazy_mode": 1,
        "main_gpu": 0,
        "tensor_split": 0,
        "progress_callback": 0,
        "progress_callback_user_data": 0,
        "kv_overrides": 0,
        "vocab_only": 0,
        "check_tensors": 0,
        "use_extra_bufts": 1,
        "no_host": 0,
        "no_alloc": 0,
        "load_mtp": 0,
    },
    "llama_context_default_params": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "n_rs_seq": 0,
        "n_outputs_max": 0,
        "n_outputs_max_per_seq": 1,
        "n_threads": 4,
        "n_threads_batch": 4,
        "ctx_type": 0,
        "rope_scaling_type": -1,
        "pooling_type": -1,
        "attention_type": -1,
        "flash_attn_type": -1,
        "rope_freq_base": 0.0,
        "rope_freq_scale": 0.0,
        "yarn_ext_factor": -1.0,
        "yarn_attn_factor": -1.0,
        "yarn_beta_fast": -1.0,
        "yarn_beta_slow": -1.0,
        "yarn_orig_ctx": 0,
        "defrag_thold": -1.0,
        "cb_eval": 0,
        "cb_eval_user_data": 0,
        "type_k": 1,
        "type_v": 1,
        "moe_cache_size": 0,
        "abort_callback": 0,
        "abort_callback_data": 0,
        "embeddings": 0,
        "offload_kqv": 1,
        "no_perf": 1,
        "op_offload": 1,
        "swa_full": 1,
        "kv_unified": 0,
        "samplers": 0,
        "n_samplers": 0,
        "ctx_other": 0,
    },
    "llama_sampler_chain_default_params": {
        "no_perf": 1,
    },
    "llama_model_quantize_default_params": {
        "nthread": 0,
        "ftype": 7,
        "output_tensor_type": 43,
        "token_embedding_type": 43,
        "allow_requantize": 0,
        "quantize_output_tensor": 1,
        "only_copy": 0,
        "pure": 0,
        "keep_split": 0,
        "dry_run": 0,
        "imatrix": 0,
        "kv_overrides": 0,
        "tt_overrides": 0,
        "prune_layers": 0,
        "max_buf_size": 8589934592,
    },
}

# What the headers define beyond that, with the reason why it is not here
LEFT_OUT = {
    "GGML_API": "ggml.h: a macro for keywords or attributes, not for a value",
    "GGML_DEPRECATED": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_ATTRIBUTE_FORMAT": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_UNUSED": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_UNUSED_VARS": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_PAD": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_UNREACHABLE": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_NORETURN": "ggml.h: a macro for keywords or attributes, not for a value",
    "GGML_ABORT": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_ASSERT": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_TENSOR_LOCALS_1": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_TENSOR_LOCALS_2": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_TENSOR_LOCALS_3": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_TENSOR_LOCALS": "ggml.h: a function-like macro: only the preprocessor can expand it",
    "GGML_TENSOR_UNARY_OP_LOCALS": "ggml.h: a macro for a piece of code, not for a value",
    "GGML_TENSOR_BINARY_OP_LOCALS": "ggml.h: a macro for a piece of code, not for a value",
    "GGML_TENSOR_TERNARY_OP_LOCALS": "ggml.h: a macro for a piece of code, not for a value",
    "GGML_TENSOR_BINARY_OP_LOCALS01": "ggml.h: a macro for a piece of code, not for a value",
    "GGML_RESTRICT": "ggml.h: a macro for keywords or attributes, not for a value",
    "GGML_BACKEND_API": "ggml-backend.h: a macro for keywords or attributes, not for a value",
    "LLAMA_H": "llama.h: a macro without a value",
    "LLAMA_API": "llama.h: a macro for keywords or attributes, not for a value",
    "DEPRECATED": "llama.h: a function-like macro: only the preprocessor can expand it",
}


def __getattr__(name):
    return _value(name, globals())


def __dir__():
    return _names(globals())
# seal: b11549 sha256:ee018ad42410ab3a4e7d20bd0a496ca77210fcc58a64b4aa49c2fd8117b329f2
