"""The C API of libmtmd of llama.cpp: types, constants and functions under their C names.

Generated from mtmd.h, mtmd-helper.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.

Importing this needs neither a library nor anything outside the standard library. A function looks
itself up in the default library when it is first called, and that in libmtmd beside it.
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
    ggml_backend_sched_eval_callback,
    ggml_log_callback,
    llama_context,
    llama_flash_attn_type,
    llama_model,
    llama_pos,
    llama_seq_id,
    llama_token,
)

LIBRARY = "mtmd"


# Enumerations. Their constants also stand in the module, as in C. Each is made when one of its
# names is first asked for, because making all would take longer than importing all the rest.
_ENUMS = {
    ("mtmd_input_chunk_type", "IntEnum"): {
        "MTMD_INPUT_CHUNK_TYPE_TEXT": 0,
        "MTMD_INPUT_CHUNK_TYPE_IMAGE": 1,
        "MTMD_INPUT_CHUNK_TYPE_AUDIO": 2,
        "MTMD_INPUT_CHUNK_TYPE_COUNT": 3,
    },
    ("mtmd_gen_audio_type", "IntEnum"): {
        "MTMD_GEN_AUDIO_TYPE_NONE": 0,
        "MTMD_GEN_AUDIO_TYPE_QWEN3TTS": 1,
        "MTMD_GEN_AUDIO_TYPE_POCKETTTS": 2,
    },
    ("mtmd_gen_process_type", "IntEnum"): {
        "MTMD_GEN_PROCESS_TYPE_GEN_CODE": 0,
        "MTMD_GEN_PROCESS_TYPE_GEN_WAV": 1,
    },
    ("mtmd_helper_gen_audio_outtype", "IntEnum"): {
        "MTMD_HELPER_GEN_AUDIO_OUTTYPE_PCM": 0,
        "MTMD_HELPER_GEN_AUDIO_OUTTYPE_WAV": 1,
    },
}


# Handles: pointers to what only the library can look into. Each is a type of its own, so that
# ctypes refuses one kind where another belongs.
class mtmd_context(c_void_p): ...


class mtmd_bitmap(c_void_p): ...


class mtmd_image_tokens(c_void_p): ...


class mtmd_input_chunk(c_void_p): ...


class mtmd_input_chunks(c_void_p): ...


class mtmd_batch(c_void_p): ...


class mtmd_helper_video(c_void_p): ...


class mtmd_helper_gen_audio(c_void_p): ...


# Structs. Their fields follow below, because they refer to each other.
class mtmd_input_text(Structure): ...


class mtmd_input_part(Structure): ...


class mtmd_context_params(Structure): ...


class mtmd_decoder_pos(Structure): ...


class mtmd_caps(Structure): ...


class mtmd_gen_audio_info(Structure): ...


class mtmd_gen_inp(Structure): ...


class mtmd_gen_out(Structure): ...


class mtmd_helper_video_init_params(Structure): ...


class mtmd_helper_init_opt(Structure): ...


class mtmd_helper_bitmap_wrapper(Structure): ...


class mtmd_helper_embd_batch(Structure): ...


class mtmd_helper_video_info(Structure): ...


class mtmd_helper_gen_audio_inp(Structure): ...


# Other names for types, and the types of callbacks
mtmd_progress_callback = CFUNCTYPE(c_bool, c_float, c_void_p)
mtmd_bitmap_lazy_callback = CFUNCTYPE(
    c_int, c_size_t, c_void_p, POINTER(mtmd_bitmap), POINTER(POINTER(c_char))
)
mtmd_helper_post_decode_callback = CFUNCTYPE(c_int32, POINTER(mtmd_helper_embd_batch), c_void_p)

# Fields
mtmd_input_text._fields_ = (
    ("text", c_char_p),
    ("text_len", c_size_t),
    ("add_special", c_bool),
    ("parse_special", c_bool),
)
mtmd_input_part._fields_ = (
    ("text", POINTER(mtmd_input_text)),
    ("bitmap", mtmd_bitmap),
)
mtmd_context_params._fields_ = (
    ("use_gpu", c_bool),
    ("device", ggml_backend_dev_t),
    ("print_timings", c_bool),
    ("n_threads", c_int),
    ("image_marker", c_char_p),
    ("media_marker", c_char_p),
    ("flash_attn_type", c_int),
    ("warmup", c_bool),
    ("image_min_tokens", c_int),
    ("image_max_tokens", c_int),
    ("cb_eval", ggml_backend_sched_eval_callback),
    ("cb_eval_user_data", c_void_p),
    ("batch_max_tokens", c_int32),
    ("progress_callback", mtmd_progress_callback),
    ("progress_callback_user_data", c_void_p),
)
mtmd_decoder_pos._fields_ = (
    ("t", c_uint32),
    ("x", c_uint32),
    ("y", c_uint32),
    ("z", c_uint32),
)
mtmd_caps._fields_ = (
    ("inp_vision", c_bool),
    ("inp_audio", c_bool),
)
mtmd_gen_audio_info._fields_ = (
    ("type", c_int),
    ("sample_rate", c_int32),
    ("model_variant", c_char_p),
)
mtmd_gen_inp._fields_ = (
    ("type", c_int),
    ("code0", c_int32),
    ("embd", POINTER(c_float)),
    ("top_k", c_int32),
    ("top_p", c_float),
    ("seed", c_uint32),
    ("temp", c_float),
    ("codes", POINTER(c_int32)),
    ("n_codes", c_size_t),
    ("feats", POINTER(c_float)),
    ("n_feats", c_size_t),
    ("state_data", c_char_p),
    ("state_size", c_size_t),
)
mtmd_gen_out._fields_ = (
    ("codes", POINTER(c_int32)),
    ("n_codes", c_size_t),
    ("feats", POINTER(c_float)),
    ("n_feats", c_size_t),
    ("embd", POINTER(c_float)),
    ("is_eos", c_bool),
    ("audio", POINTER(c_float)),
    ("n_samples", c_size_t),
    ("state_data", c_char_p),
    ("state_size", c_size_t),
)
mtmd_helper_video_init_params._fields_ = (
    ("fps_target", c_float),
    ("ffmpeg_bin_dir", c_char_p),
    ("timestamp_interval_ms", c_int64),
)
mtmd_helper_init_opt._fields_ = (("video_params", mtmd_helper_video_init_params),)
mtmd_helper_bitmap_wrapper._fields_ = (
    ("bitmap", mtmd_bitmap),
    ("video_ctx", mtmd_helper_video),
)
mtmd_helper_embd_batch._fields_ = (
    ("n_tokens", c_int32),
    ("embd", POINTER(c_float)),
    ("n_embd", c_int32),
    ("pos", POINTER(llama_pos)),
    ("n_pos", c_int32),
    ("seq_id", llama_seq_id),
)
mtmd_helper_video_info._fields_ = (
    ("width", c_uint32),
    ("height", c_uint32),
    ("fps", c_float),
    ("n_frames", c_int32),
)
mtmd_helper_gen_audio_inp._fields_ = (
    ("seq_id", llama_seq_id),
    ("prompt", c_char_p),
    ("prompt_len", c_size_t),
    ("speaker_ref", mtmd_bitmap),
    ("lang", c_char_p),
    ("top_k", c_int32),
    ("top_p", c_float),
    ("seed", c_uint32),
    ("out_type", c_int),
)


# Deprecated function -> what replaces it, None where the header does not say
DEPRECATED = {
    "mtmd_image_tokens_get_nx": "mtmd_image_tokens_get_decoder_pos",
    "mtmd_image_tokens_get_ny": "mtmd_image_tokens_get_decoder_pos",
    "mtmd_encode": "mtmd_encode_chunk",
}

# Header -> its functions: the result and the parameters of each. They are text, evaluated when
# first asked for, because compiling them would take longer than importing all the rest.
_SIGNATURES = {
    "mtmd.h": """
mtmd_default_marker: c_char_p,
mtmd_context_params_default: mtmd_context_params,
mtmd_init_from_file: mtmd_context, c_char_p, llama_model, mtmd_context_params,
mtmd_free: None, mtmd_context,
mtmd_decode_use_non_causal: c_bool, mtmd_context, mtmd_input_chunk,
mtmd_decode_use_mrope: c_bool, mtmd_context,
mtmd_support_vision: c_bool, mtmd_context,
mtmd_support_audio: c_bool, mtmd_context,
mtmd_get_audio_sample_rate: c_int, mtmd_context,
mtmd_get_marker: c_char_p, mtmd_context,
mtmd_bitmap_init: mtmd_bitmap, c_uint32, c_uint32, POINTER(c_ubyte),
mtmd_bitmap_init_from_audio: mtmd_bitmap, c_size_t, POINTER(c_float),
mtmd_bitmap_get_nx: c_uint32, mtmd_bitmap,
mtmd_bitmap_get_ny: c_uint32, mtmd_bitmap,
mtmd_bitmap_get_data: POINTER(c_ubyte), mtmd_bitmap,
mtmd_bitmap_get_n_bytes: c_size_t, mtmd_bitmap,
mtmd_bitmap_is_audio: c_bool, mtmd_bitmap,
mtmd_bitmap_free: None, mtmd_bitmap,
mtmd_bitmap_get_id: c_char_p, mtmd_bitmap,
mtmd_bitmap_set_id: None, mtmd_bitmap, c_char_p,
mtmd_bitmap_set_mergeable: None, mtmd_bitmap, c_bool,
mtmd_bitmap_init_lazy: mtmd_bitmap, mtmd_context, c_char_p, c_void_p, mtmd_bitmap_lazy_callback,
mtmd_input_chunks_init: mtmd_input_chunks,
mtmd_input_chunks_size: c_size_t, mtmd_input_chunks,
mtmd_input_chunks_get: mtmd_input_chunk, mtmd_input_chunks, c_size_t,
mtmd_input_chunks_free: None, mtmd_input_chunks,
mtmd_input_chunk_get_type: c_int, mtmd_input_chunk,
mtmd_input_chunk_get_tokens_text: POINTER(llama_token), mtmd_input_chunk, POINTER(c_size_t),
mtmd_input_chunk_get_tokens_image: mtmd_image_tokens, mtmd_input_chunk,
mtmd_input_chunk_get_n_tokens: c_size_t, mtmd_input_chunk,
mtmd_input_chunk_get_id: c_char_p, mtmd_input_chunk,
mtmd_input_chunk_get_n_pos: llama_pos, mtmd_input_chunk,
mtmd_input_chunk_copy: mtmd_input_chunk, mtmd_input_chunk,
mtmd_input_chunk_free: None, mtmd_input_chunk,
mtmd_input_chunk_get_placeholder: mtmd_input_chunk, mtmd_input_chunk,
mtmd_input_chunk_save: c_int32, mtmd_input_chunk, POINTER(c_char), c_size_t, POINTER(c_size_t),
mtmd_input_chunk_load: mtmd_input_chunk, c_char_p, c_size_t,
mtmd_image_tokens_get_n_tokens: c_size_t, mtmd_image_tokens,
mtmd_image_tokens_get_id: c_char_p, mtmd_image_tokens,
mtmd_image_tokens_get_n_pos: llama_pos, mtmd_image_tokens,
mtmd_image_tokens_get_nx: c_size_t, mtmd_image_tokens,
mtmd_image_tokens_get_ny: c_size_t, mtmd_image_tokens,
mtmd_image_tokens_get_decoder_pos: mtmd_decoder_pos, mtmd_image_tokens, llama_pos, c_size_t,
mtmd_tokenize: c_int32, mtmd_context, mtmd_input_chunks, POINTER(mtmd_input_text), POINTER(mtmd_bitmap), c_size_t,
mtmd_tokenize_from_parts: c_int32, mtmd_context, mtmd_input_chunks, POINTER(POINTER(mtmd_input_part)), c_size_t, c_bool,
mtmd_encode: c_int32, mtmd_context, mtmd_image_tokens,
mtmd_encode_chunk: c_int32, mtmd_context, mtmd_input_chunk,
mtmd_get_output_embd: POINTER(c_float), mtmd_context,
mtmd_batch_init: mtmd_batch, mtmd_context,
mtmd_batch_free: None, mtmd_batch,
mtmd_batch_add_chunk: c_int32, mtmd_batch, mtmd_input_chunk,
mtmd_batch_encode: c_int32, mtmd_batch,
mtmd_batch_get_output_embd: POINTER(c_float), mtmd_batch, mtmd_input_chunk,
mtmd_log_set: None, ggml_log_callback, c_void_p,
mtmd_get_cap_from_file: mtmd_caps, c_char_p,
mtmd_gen_audio_get_info: mtmd_gen_audio_info, mtmd_context,
mtmd_gen_inp_default: mtmd_gen_inp, mtmd_context,
mtmd_gen_audio_process: c_int32, mtmd_context, POINTER(mtmd_gen_inp), POINTER(mtmd_gen_out),
mtmd_test_create_input_chunks: mtmd_input_chunks,
""",
    "mtmd-helper.h": """
mtmd_helper_video_init_params_default: mtmd_helper_video_init_params,
mtmd_helper_init_opt_default: mtmd_helper_init_opt,
mtmd_helper_log_set: None, ggml_log_callback, c_void_p,
mtmd_helper_support_video: c_bool, mtmd_context,
mtmd_helper_bitmap_init_from_file: mtmd_helper_bitmap_wrapper, mtmd_context, c_char_p, c_bool, mtmd_helper_init_opt,
mtmd_helper_bitmap_init_from_buf: mtmd_helper_bitmap_wrapper, mtmd_context, POINTER(c_ubyte), c_size_t, c_bool, mtmd_helper_init_opt,
mtmd_helper_get_n_tokens: c_size_t, mtmd_input_chunks,
mtmd_helper_get_n_pos: llama_pos, mtmd_input_chunks,
mtmd_helper_image_get_decoder_pos: None, mtmd_image_tokens, llama_pos, POINTER(mtmd_decoder_pos),
mtmd_helper_eval_chunks: c_int32, mtmd_context, llama_context, mtmd_input_chunks, llama_pos, llama_seq_id, c_int32, c_bool, POINTER(llama_pos),
mtmd_helper_eval_chunk_single: c_int32, mtmd_context, llama_context, mtmd_input_chunk, llama_pos, llama_seq_id, c_int32, c_bool, POINTER(llama_pos),
mtmd_helper_decode_image_chunk: c_int32, mtmd_context, llama_context, mtmd_input_chunk, POINTER(c_float), llama_pos, llama_seq_id, c_int32, POINTER(llama_pos), mtmd_helper_post_decode_callback, c_void_p,
mtmd_helper_video_init: mtmd_helper_video, mtmd_context, c_char_p, mtmd_helper_video_init_params,
mtmd_helper_video_init_from_buf: mtmd_helper_video, mtmd_context, POINTER(c_ubyte), c_size_t, mtmd_helper_video_init_params,
mtmd_helper_video_free: None, mtmd_helper_video,
mtmd_helper_video_get_info: mtmd_helper_video_info, mtmd_helper_video,
mtmd_helper_video_read_next: c_int32, mtmd_helper_video, POINTER(mtmd_bitmap), POINTER(POINTER(c_char)),
mtmd_helper_model_can_chat: c_bool, llama_context, mtmd_context,
mtmd_helper_gen_audio_init: mtmd_helper_gen_audio, llama_context, mtmd_context,
mtmd_helper_gen_audio_free: None, mtmd_helper_gen_audio,
mtmd_helper_gen_audio_reset: None, mtmd_helper_gen_audio,
mtmd_helper_gen_audio_set_input: c_int32, mtmd_helper_gen_audio, POINTER(mtmd_helper_gen_audio_inp),
mtmd_helper_gen_audio_step_prompt: c_int32, mtmd_helper_gen_audio, c_int32,
mtmd_helper_gen_audio_step_gen: c_int32, mtmd_helper_gen_audio, llama_token, POINTER(c_float), POINTER(POINTER(c_float)), POINTER(c_bool),
mtmd_helper_gen_audio_get_output: c_int32, mtmd_helper_gen_audio, POINTER(c_int32), POINTER(c_char_p), POINTER(c_size_t), POINTER(c_int64),
""",
}
FUNCTIONS = _Made(
    _signatures("".join(_SIGNATURES.values())), lambda line: Function(line, globals())
)
HEADERS = _Made(_SIGNATURES, lambda text: tuple(map(FUNCTIONS.get, _signatures(text))))

for _type in (
    mtmd_input_text,
    mtmd_input_part,
    mtmd_context_params,
    mtmd_decoder_pos,
    mtmd_caps,
    mtmd_gen_audio_info,
    mtmd_gen_inp,
    mtmd_gen_out,
    mtmd_helper_video_init_params,
    mtmd_helper_init_opt,
    mtmd_helper_bitmap_wrapper,
    mtmd_helper_embd_batch,
    mtmd_helper_video_info,
    mtmd_helper_gen_audio_inp,
):
    _explain(_type)

# Function -> the values that it returns: the default parameters
DEFAULTS = {
    "mtmd_context_params_default": {
        "use_gpu": 1,
        "device": 0,
        "print_timings": 1,
        "n_threads": 4,
        "image_marker": 0,
        "media_marker": 1,
        "flash_attn_type": -1,
        "warmup": 1,
        "image_min_tokens": -1,
        "image_max_tokens": -1,
        "cb_eval": 0,
        "cb_eval_user_data": 0,
        "batch_max_tokens": 1024,
        "progress_callback": 0,
        "progress_callback_user_data": 0,
    },
    "mtmd_helper_video_init_params_default": {
        "fps_target": 4.0,
        "ffmpeg_bin_dir": 0,
        "timestamp_interval_ms": 5000,
    },
}

# What the headers define beyond that, with the reason why it is not here
LEFT_OUT = {
    "MTMD_H": "mtmd.h: a macro without a value",
    "MTMD_API": "mtmd.h: a macro for keywords or attributes, not for a value",
    "MTMD_HELPER_H": "mtmd-helper.h: a macro without a value",
}


def __getattr__(name):
    return _value(name, globals())


def __dir__():
    return _names(globals())
# seal: b11549 sha256:b27bacf2bfb2b6d5d10e3714cfb31a340f9d8114afef2f4c3e0c37cff07e7d60
