"""Objects in notebooks: how they show themselves, and the notebooks of the examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from llama_cpp import Completion, Llama, LlamaModel, _display, devices
from llama_cpp._display import Displayed, Sheet
from llama_cpp.agent import RunResult, ToolCall
from llama_cpp.usage import Timings, Usage
from tests.support.python import ROOT, run_python

NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))

TAGS = {"div", "pre", "p", "small", "details", "summary", "table", "thead", "tbody", "tr", "th"}
TAGS |= {"td", "code"}
# As a kernel would: in a folder with the model, and with the outputs that are stored.
RUN = """
import json, os, sys
sys.path.insert(0, 'docs/_site')
import notebooks
notebook = json.load(open(sys.argv[1], encoding='utf-8'))
os.chdir(sys.argv[2])
notebooks.run(notebook)
print(json.dumps(notebook))
"""
HOSTILE = "<script>alert(1)</script> & | $x$ [a](javascript:b) ![c](http://d) # ```\n~~~~\n- <b>"


class Page(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.data = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.data += data


def markdown(sheet: Sheet) -> Page:
    """As a program that allows HTML in Markdown would show it."""
    return Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(sheet.markdown))


@given(st.text(alphabet=st.sampled_from("<>&|`~$\\#*_[]()!-+=:.ab 1\n\t'\"")))
def test_no_text_becomes_markup(text: str) -> None:
    sheet = Sheet().text(text).text(text, "Reasoning").note(text).table([[text, 1]], "a", "b")
    page = Page(sheet.html)
    assert page.tags <= TAGS
    assert page.data.count(text) >= (4 if text else 0)
    shown = markdown(sheet)
    assert shown.tags <= TAGS
    assert "".join(text.split()) in "".join(shown.data.split())


def completion(text: str, **more: Any) -> Completion:
    return Completion(text, [1], "stop", Usage(3, 0, 2), Timings(0.1, 0.2, 5.0), **more)


def result(text: str) -> RunResult[Any]:
    calls = [ToolCall("look", {"at": text}, result=text), ToolCall("go", {}, pending=True)]
    return RunResult(
        text, None, "answer", "native", [], calls, [], Usage(3, 0, 2), Timings(0, 0, 0), text
    )


@pytest.fixture(scope="module")
def llm(tiny_path: Callable[..., Path]) -> Llama:
    return Llama(tiny_path("llama"), n_ctx=128)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda _: completion(HOSTILE, reasoning=HOSTILE), [HOSTILE, "Reasoning", "stop, 2 "]),
        (lambda _: completion("", others=[completion("b", error=OSError("c"))]), ["b", "OSError"]),
        (lambda _: result(HOSTILE), [HOSTILE, "look", "(pending)", "answer", "2 tokens after 3"]),
        (lambda llm: llm.embed(["a", "b"]), ["2 vectors of"]),
        (lambda llm: llm, ["n_seq_max", "1", "description"]),
        (lambda llm: llm.model, ["n_params", "MB", "n_ctx_train"]),
        (lambda llm: llm.model.metadata, ["general.architecture", "llama"]),
        (lambda llm: llm.ctx, ["n_ubatch", "128", "POOLING"]),
        (lambda llm: devices()[-1], ["CPU", "GB free"]),
    ],
)  # fmt: skip
def test_an_object_shows_itself(
    make: Callable[[Llama], Displayed], parts: list[str], llm: Llama
) -> None:
    shown = make(llm)
    html, text = shown._repr_html_(), shown._repr_markdown_()
    assert html is not None
    assert text is not None
    page = Page(html)
    assert page.tags <= TAGS
    assert [part for part in parts if part not in page.data] == []
    assert Page(MarkdownIt("commonmark").render(text)).tags <= TAGS


def test_a_closed_object_shows_its_repr(tiny_path: Callable[..., Path]) -> None:
    with Llama(tiny_path("llama"), n_ctx=128) as llm:
        shown = [llm, llm.model, llm.ctx, llm.model.metadata]
    assert [(one._repr_html_(), one._repr_markdown_()) for one in shown] == [(None, None)] * 4


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The outputs of a notebook, each as it was last."""
    lines: list[str] = []

    def display(html: SimpleNamespace, display_id: bool) -> SimpleNamespace:
        def update(html: SimpleNamespace) -> None:
            lines[at] = html.data

        at = len(lines)
        lines.append(html.data)
        return SimpleNamespace(update=update)

    shell = SimpleNamespace(kernel=object())
    html = lambda data: SimpleNamespace(data=data)  # noqa: E731
    shown = SimpleNamespace(display=display, HTML=html)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return lines


def test_a_load_that_takes_long_has_a_bar_in_a_notebook(
    notebook: list[str], tiny_path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_path("llama")
    LlamaModel.from_file(path).close()
    assert notebook == [], "it took no second"
    monkeypatch.setattr(_display, "_DELAY", 0)
    LlamaModel.from_file(path).close()
    assert notebook == [f"Loading {path.name} &#10003;"]
    LlamaModel.from_file(path, progress=lambda done: None).close()
    assert len(notebook) == 1, "the program's own progress replaces it"


def test_a_bar_grows_in_one_place_and_nowhere_but_in_a_notebook(
    notebook: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_display, "_DELAY", 0)
    monkeypatch.setattr(_display, "_STEP", 0)
    grow = _display.bar("<b>")
    assert grow is not None
    for done in (0.25, 0.5):
        grow(done)
        assert notebook == [f"&lt;b&gt; <progress value={done:.3f}></progress>"]
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert _display.bar("a") is None, "IPython in a terminal"
    monkeypatch.delitem(sys.modules, "IPython")
    assert _display.bar("a") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").symlink_to(model_path)
    done = run_python(RUN, path, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    stored = json.loads(path.read_text("utf-8"))
    assert kinds(json.loads(done.stdout)) == kinds(stored), "python -m docs._site.notebooks"


def kinds(notebook: Any) -> list[list[str]]:
    """Which outputs each cell has: their text differs between machines."""
    return [
        [kind for output in cell["outputs"] for kind in output.get("data", ["text"])]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
