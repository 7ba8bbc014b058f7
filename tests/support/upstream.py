"""The llama.cpp of tomorrow: the pinned one with a sampler, a parameter, a constant, and an option
and a field of the server more."""

from __future__ import annotations

import shutil
from pathlib import Path

from codegen import source

# Simulated changes of upstream: file -> a text in it, and the text to insert after it.
CHANGES = {
    "include/llama.h": [
        ("        struct llama_context * ctx_other;\n", "        int32_t n_foresight;\n"),
        ("    enum llama_vocab_type {\n", "        LLAMA_VOCAB_TYPE_TOMORROW = 99,\n"),
        (
            "    LLAMA_API struct llama_sampler * llama_sampler_init_greedy(void);\n",
            "    LLAMA_API struct llama_sampler * llama_sampler_init_steady(llama_token token);\n",
        ),
    ],
    "src/llama-context.cpp": [
        ("        /*.ctx_other                   =*/ nullptr,\n", "        /*.n_foresight =*/ 7,\n")
    ],
    "src/llama-sampler.cpp": [
        (
            "// greedy\n",
            "struct llama_sampler * llama_sampler_init_steady(llama_token) {\n"
            "    return llama_sampler_init_greedy();\n}\n",
        )
    ],
    "common/arg.cpp": [
        (
            "    GGML_ASSERT(params.n_gpu_layers < 0); // string_format would need to be extended "
            "for a default >= 0\n",
            '    add_opt(common_arg({"--dream-depth"}, "N", "", [](common_params & p, int value) {'
            ' if (value < 1) { throw std::invalid_argument("low"); } p.n_ctx = value; }));\n',
        )
    ],
    "tools/server/server-schema.cpp": [
        (
            "    // Sampling params\n",
            '    add((new field_num("dream", params.sampling.temp))'
            "->set_hard_limits(0.0f, 1.0f));\n",
        )
    ],
}


def copied(root: Path, *, whole: bool = False) -> Path:
    """The pinned tree in the folder ``root``: all of it, or only the parts that are read."""
    pinned = source.fetch(source.pinned_tag()) if whole else source.resolve().root
    folders = ["."] if whole else source.upstream()["read"]
    for folder in folders:
        shutil.copytree(pinned / folder, root / folder, dirs_exist_ok=True)
    return root


def change(root: Path) -> Path:
    """Make the tree at ``root`` that of tomorrow."""
    for name, changes in CHANGES.items():
        text = (root / name).read_text("utf-8")
        for line, added in changes:
            assert text.count(line) == 1, line
            text = text.replace(line, line + added)
        (root / name).write_text(text, "utf-8")
    return root
