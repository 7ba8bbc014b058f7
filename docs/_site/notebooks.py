"""The notebooks of the examples: runs their cells without a kernel, and makes pages of the site.

python -m docs._site.notebooks MODEL.gguf     runs all of them and stores the outputs in the files
"""

from __future__ import annotations

import ast
import contextlib
import html
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[2] / "examples/notebooks"


def run(notebook: dict[str, Any]) -> None:
    """Run the code cells in the current folder, and store what a kernel would show as outputs."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for n, cell in enumerate(_code(notebook), 1):
        printed = io.StringIO()
        tree = ast.parse("".join(cell["source"]))
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {n}", "exec", dont_inherit=True), names)
            value = None
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), f"cell {n}", "eval"), names)
        cell["execution_count"], cell["outputs"] = n, []
        if printed.getvalue():
            text = printed.getvalue().splitlines(keepends=True)
            cell["outputs"] += [{"output_type": "stream", "name": "stdout", "text": text}]
        if value is not None:
            data = {"text/plain": [repr(value)]}
            shown = getattr(value, "_repr_html_", lambda: None)()
            if shown:
                data["text/html"] = shown.splitlines(keepends=True)
            result = {"output_type": "execute_result", "data": data, "metadata": {}}
            cell["outputs"] += [{**result, "execution_count": n}]


def page(notebook: dict[str, Any]) -> str:
    """The notebook as Markdown."""
    return "\n\n".join(part for cell in notebook["cells"] for part in _parts(cell))


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", ())})
        if "text/html" in data:
            yield f'<div class="output">{"".join(data["text/html"])}</div>'
        else:
            text = html.escape("".join(data["text/plain"]).rstrip())
            yield f'<div class="output"><pre>{text}</pre></div>'


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """mkdocs: when it knows the pages."""
    from mkdocs.structure.files import File

    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        content = page(json.loads(path.read_text("utf-8")))
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=content))
    return files


def main() -> None:
    model = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("model.gguf").symlink_to(model)
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            notebook = json.loads(path.read_text("utf-8"))
            run(notebook)
            path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
