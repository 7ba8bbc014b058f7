"""The pages of docs/: their code runs, their commands exist, all of them are in the site."""

from __future__ import annotations

import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import llama_cpp
from checks import clients
from codegen import source
from llama_cpp import _raw, _raw_mtmd, errors, langchain, ray, usage
from llama_cpp.context import LlamaContextParams
from llama_cpp.generate import GenerationOptions, LlamaParams
from llama_cpp.model import LlamaModelParams
from tests.support import codeblocks, tiny_mmproj
from tests.support.adapters import write_lora
from tests.support.httpserver import serve
from tests.support.hub import Hub
from tests.support.pictures import png
from tests.support.python import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [page for page in PAGES if codeblocks.programs(page) and page != clients.PAGE]
sys.path.append(str(DOCS / "_site"))

import check  # noqa: E402  (beside the pages)
import links  # noqa: E402
import notebooks  # noqa: E402

KEYWORDS = {
    ("text", "generate.LlamaParams"): LlamaParams.__annotations__,
    ("text", "generate.GenerationOptions"): GenerationOptions.__annotations__,
    ("models", "model.LlamaModelParams"): LlamaModelParams.__annotations__,
    ("contexts", "context.LlamaContextParams"): LlamaContextParams.__annotations__,
}
"""Page and class of the reference -> the keywords there."""


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.fixture(scope="module")
def files(
    model_path: Path, tiny_path: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder with the files that the pages open, by their names there."""
    folder = tmp_path_factory.mktemp("docs")
    write_lora(folder / "adapter.gguf")
    write_lora(folder / "other-adapter.gguf", seed=1)
    tiny_mmproj.make(folder).rename(folder / "mmproj.gguf")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    (folder / "cat.png").write_bytes(png(pixels))
    for file, path in {
        "model.gguf": model_path,
        "small.gguf": tiny_path("llama"),
        "draft.gguf": model_path,
        "embedding.gguf": tiny_path("bert"),
        "reranker.gguf": tiny_path("rerank"),
        "classifier.gguf": tiny_path("classify"),
        "infill.gguf": tiny_path("llama"),
    }.items():
        (folder / file).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def hub(tiny_path: Callable[..., Path], files: Path) -> Iterator[Hub]:
    """A fake Hugging Face Hub for the pages that load from there."""
    weights = tiny_path("llama").read_bytes()
    with serve() as served:
        local = Hub(served, files / "hf")
        local.add("owner/repo", {"model-Q4_K_M.gguf": weights, "model-Q8_0.gguf": weights})
        yield local


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_programs_of_a_page_run(page: Path, files: Path, hub: Hub) -> None:
    done = codeblocks.run(page, codeblocks.programs(page), files, **hub.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def test_a_client_of_another_library_works_with_our_server(files: Path) -> None:
    done = clients.answer("openai", files)  # `make checks NAME=clients` runs the others
    assert done.stdout.strip(), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_a_page_is_of_a_kind_that_is_tested(page: Path) -> None:
    assert {block.language for block in codeblocks.blocks(page)} <= codeblocks.LANGUAGES
    assert page.read_text("utf-8").count("```") == 2 * len(codeblocks.blocks(page))
    lines = [line for block in codeblocks.blocks(page) for line in block.code.splitlines()]
    assert [line for line in lines if len(line) > 100] == [], "wider than the site's column"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    assert [f for words in codeblocks.commands(page) if (f := codeblocks.fault(words))] == []


@pytest.mark.parametrize(
    "line",
    [
        "llama-py walk",
        "llama-py run --no-such",
        "llama-py engine install --no-such",
        "llama-py server --no-such",
        "make no-such",
        "pip install 'libllama-py[no-such]'",
        "pip install other",
        "python -m codegen no-such",
        "rm -r /",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{line} # comment\n```\n")
    (words,) = codeblocks.commands(page)
    assert codeblocks.fault(words)


def test_names_on_the_pages_exist() -> None:
    addresses = links.exported(ROOT / "llama_cpp").values()
    public = {address.rpartition(".")[2]: pkgutil.resolve_name(address) for address in addresses}
    wrong = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
        for owner, member in re.findall(r"`(\w+)\.(\w+)[^`\n]*`", text):
            if owner in public and member != "py":  # a file of the examples
                found = public[owner]
                fields = {
                    f for c in getattr(found, "__mro__", ()) for f in inspect.get_annotations(c)
                }
                if hasattr(found, member) or member in fields:
                    continue
                if f"self.{member}: " not in inspect.getsource(found):
                    wrong.append((name(page), f"{owner}.{member}"))
        for module in (_raw, _raw_mtmd):
            short = module.__name__.rpartition(".")[2]
            for member in re.findall(rf"`[^`\n]*\b{short}\.(\w+)[^`\n]*`", text):
                if member not in ("py", "pyi") and not hasattr(module, member):
                    wrong.append((name(page), member))
    assert wrong == []


def test_the_site_has_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    nav = re.findall(r"^ +- .*: (\S+\.md)$", text.partition("\nnav:")[2], re.MULTILINE)
    made = [f"notebooks/{path.stem}.md" for path in notebooks.NOTEBOOKS.glob("*.ipynb")]
    assert sorted(nav) == sorted([*made, *(name(page) for page in PAGES)])


def test_the_reference_has_every_public_name_and_no_other() -> None:
    pages = (page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    found = [n for page in pages for n in re.findall(r"^::: (\S+)$", page, re.M)]
    public = set(links.exported(ROOT / "llama_cpp").values())
    for module in (errors, usage, langchain, ray):
        public |= {
            f"{module.__name__}.{name}"
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
        }
    public.add("llama_cpp.lm_eval.LlamaLM")  # its package is not installed here
    for name in llama_cpp.__all__:  # those have a shorter address
        public.discard(f"llama_cpp.errors.{name}")
    assert sorted(found) == sorted(public)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_leads_into_a_module_of_a_layer(page: Path) -> None:
    """Public names come from the packages' tables: the modules behind those may change."""
    named = re.findall(r"\bllama_cpp\.([a-z]\w*)\.([a-z]\w*)", page.read_text("utf-8"))
    tables = set(links.exported(ROOT / "llama_cpp").values())
    assert [
        f"{layer}.{module}"
        for layer, module in named
        if (ROOT / f"llama_cpp/{layer}/{module}.py").is_file()
        and f"llama_cpp.{layer}.{module}" not in tables
    ] == []


def test_troubleshooting_has_every_error() -> None:
    text = (DOCS / "troubleshooting.md").read_text("utf-8")
    names = [n for n in vars(errors) if n.endswith("Error")] + ["LlamaCancelled"]
    assert len(names) > 30
    assert [error for error in names if f"`{error}`" not in text] == []


# -- links to the headers


@pytest.fixture(scope="module")
def header_links() -> dict[str, str]:
    return links.header_links()


def test_a_c_name_is_linked_to_the_line_that_declares_it(header_links: dict[str, str]) -> None:
    root = source.resolve().root
    wrong = []
    for c_name, address in header_links.items():
        path, line = address.removeprefix(f"{links.HEADERS}/{source.pinned_tag()}/").split("#L")
        lines = (root / path).read_text("utf-8").splitlines()[int(line) - 1 :]
        # A declaration begins there: of an enum's constant the enum's, and a struct inside another
        # has its name from us.
        near = "\n".join(lines[:4] if c_name.islower() else lines)
        if not re.search(rf"\b{c_name}\b", near) and not re.search(
            r"struct {|union {|} \w+;", lines[0]
        ):
            wrong.append((c_name, address, lines[0]))
    assert wrong == []
    assert len(header_links) > 1500


def test_names_in_code_become_links() -> None:
    python = {n: f"reference/text/#{n}" for n in ("llama_cpp.Llama", "llama_cpp.Llama.generate")}
    linker = links.Linker({"llama_decode": "H#L1", "llama_init": "H#L2"}, python)

    def link(text: str) -> str:
        return str(linker.link(text, "guide/a/"))

    assert link("C: <code>llama_decode</code>, llama.h") == (
        'C: <a href="H#L1"><code>llama_decode</code></a>, llama.h'
    )
    assert 'href="H#L2"' in link("<code>struct x *llama_init(int a)</code>")
    assert 'href="H#L1"' in link("<code>_raw.llama_decode()</code>")
    way = "../../reference/text/#llama_cpp.Llama"
    assert link("<code>Llama.generate(seed=1)</code>") == (
        f'<a href="{way}.generate"><code>Llama.generate(seed=1)</code></a>'
    )
    # In a docstring a name is looked for in the object, its class, the package.
    heading = '<h3 id="llama_cpp.Llama.chat" class="doc">chat</h3>'
    assert f'{heading}<a href="{way}.generate"><code>generate</code></a>' == link(
        f"{heading}<code>generate</code>"
    )
    for text in (
        "<code>generate</code>",
        "<pre><code>llama_decode</code></pre>",
        '<a href="x"><code>llama_decode</code></a>',
        '<span title="LlamaNothing">',
    ):
        assert link(text) == text
    assert link("Raises Llama and LlamaX") == "Raises Llama and LlamaX"


def test_the_table_says_which_names_stand_on_a_function() -> None:
    table = links.table()
    assert "| `llama_decode` | `LlamaContext.decode` |" in table
    assert "| `llama_model_n_ctx_train` | `LlamaModel.n_ctx_train` |" in table
    assert "| `llama_backend_init` | *inside* |" in table
    assert "| `llama_backend_free` |  |" in table
    assert "`LlamaSampler.top_k`" in table
    assert "`mtmd_tokenize`" in table


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    assert len(check.faults(tmp_path)) == 1, "there is no page"
    (tmp_path / "b").mkdir()
    (tmp_path / "b/index.html").write_text('<h1 id="here">b</h1>')
    good = '<a href="b/#here">b</a><a href="https://example.org">far</a><a id="x" href="#x">x</a>'
    bad = (
        '<a href="c/">c</a><a href="b/#there">b</a><script src="https://example.org/a.js"></script>'
    )
    (tmp_path / "index.html").write_text(good)
    assert check.faults(tmp_path) == []
    (tmp_path / "index.html").write_text(good + bad)
    (tmp_path / "a.css").write_text("a { background: url(https://example.org/a.png) }")
    assert len(check.faults(tmp_path)) == 4


def test_the_check_of_a_site_that_is_published_in_a_folder(tmp_path: Path) -> None:
    home = '<link rel="canonical" href="https://example.org/docs/">'
    (tmp_path / "index.html").write_text(f'{home}<a href="/docs/404.html">a</a>')
    (tmp_path / "404.html").write_text('<a href="/docs/">a</a>')
    assert check.faults(tmp_path) == []
    (tmp_path / "404.html").write_text('<a href="/">a</a><a href="/docs/b.html">b</a>')
    assert check.faults(tmp_path) == [
        "404.html: / leads out of the site",
        "404.html: /docs/b.html leads nowhere",
    ]


def test_the_site_builds_without_a_fault(tmp_path: Path) -> None:
    """`make docs`, elsewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert check.faults(tmp_path / "site") == []
    page = (tmp_path / "site/reference/contexts/index.html").read_text("utf-8")
    assert re.search(r'/include/llama\.h#L\d+"><code>llama_decode</code></a>', page)
    for place, keywords in KEYWORDS.items():
        page = (tmp_path / f"site/reference/{place[0]}/index.html").read_text("utf-8")
        prefix = f'id="llama_cpp.{place[1]}.'
        assert [word for word in keywords if f'{prefix}{word}"' not in page] == []
    # Names with an underscore in front are nobody's business.
    assert re.findall(r'<h\d id="llama_cpp\.(?:\w+\.)*_\w+"', page) == []
