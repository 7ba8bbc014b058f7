"""Draws docs/assets/terminal.svg: commands as a user runs them, with their output.

python -m docs._site.terminal MODEL.gguf
"""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

_COMMANDS = (
    'llama-py run smollm2.gguf -n 16 --temperature 0 "One, two, three,"',
    'llama-py run smollm2.gguf -n 48 --temperature 0 --stop . "Once upon a time"',
    'llama-py tokenize smollm2.gguf "Hello world"',
)
_PICTURE = Path(__file__).parents[1] / "assets" / "terminal.svg"
# rich's own, without the fonts that it would fetch.
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" \
xmlns="http://www.w3.org/2000/svg"><style>.{unique_id}-matrix {{ font-family: monospace; \
font-size: {char_height}px; line-height: {line_height}px }} {styles}</style><defs>{lines}</defs>\
{chrome}<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}\
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    console = Console(record=True, width=88, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "smollm2.gguf").symlink_to(Path(sys.argv[1]).resolve())
        for command in _COMMANDS:
            program = [sys.executable, "-m", "llama_cpp", *shlex.split(command)[1:]]
            done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True)
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text(done.stdout))
    _PICTURE.write_text(
        console.export_svg(title="llama-py", code_format=_SVG, unique_id="terminal"), "utf-8"
    )


if __name__ == "__main__":
    main()
