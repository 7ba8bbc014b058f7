"""Models from the hub: `huggingface_hub` talks to a local server that plays the hub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_cpp.model import hub
from tests.support.httpserver import serve
from tests.support.hub import Hub
from tests.support.python import Result, run_python


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Hub]:
    with serve() as served:
        yield Hub(served, tmp_path / "hf")


@pytest.fixture(scope="module")
def weights(tiny_path: Callable[..., Path]) -> bytes:
    return tiny_path("llama").read_bytes()


def outcome(done: Result) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_loaded_by_a_pattern_and_then_without_the_hub(
    local: Hub, weights: bytes
) -> None:
    local.add("me/tiny", {"README.md": b"#", "tiny-Q4_K_M.gguf": weights, "tiny-Q8_0.gguf": b"x"})
    code = """
seen, loaded = [], []
with LlamaModel.from_pretrained(
    "me/tiny", "*Q4_K_M.gguf", progress=loaded.append,
    download_progress=lambda *state: seen.append(state), token="of-the-test",
) as model:
    print(json.dumps([model.path.name, model.n_layer, seen, loaded]))
"""
    name, layers, seen, loaded = outcome(local.run(code))
    assert (name, layers) == ("tiny-Q4_K_M.gguf", 2)
    assert seen[-1] == ["tiny-Q4_K_M.gguf", len(weights), len(weights)]
    assert loaded[-1] == 1.0
    asked = dict(local.served.requests)
    assert asked[local.path("me/tiny", "tiny-Q4_K_M.gguf")]["authorization"] == "Bearer of-the-test"
    assert local.path("me/tiny", "tiny-Q8_0.gguf") not in asked

    # From the cache: nothing is asked, then nobody answers, then the hub's own variable says so.
    local.served.requests.clear()
    code = """
with Llama.from_pretrained("me/tiny", "*Q4_K_M.gguf", local_files_only=True, n_ctx=64) as llm:
    print(json.dumps(llm.model.path.name))
"""
    assert outcome(local.run(code)) == "tiny-Q4_K_M.gguf"
    code = 'print(json.dumps([attempt("me/tiny", "*Q4_K_M.gguf"), attempt("me/other")]))'
    for env in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        found, other = outcome(local.run(code, **env))
        assert found.endswith("tiny-Q4_K_M.gguf")
        assert other.startswith("LlamaDownloadError: me/other is not in the cache, and the hub was")
    assert local.served.requests == []


def test_all_parts_of_a_split_model_are_fetched(local: Hub, tmp_path: Path) -> None:
    names = [f"big/m-Q4_0-0000{i}-of-00002.gguf" for i in (1, 2)]
    local.add("me/split", {name: name.encode() for name in names})
    code = """
print(json.dumps([attempt("me/split", p) for p in
    ("*Q4_0.gguf", "big/m-Q4_0-00001-of-00002.gguf", "*00001-of-00002.gguf", "big/*.gguf")]))
"""
    for path in outcome(local.run(code)):
        assert Path(path).name == "m-Q4_0-00001-of-00002.gguf"
        assert Path(path).with_name("m-Q4_0-00002-of-00002.gguf").read_bytes() == names[1].encode()


def test_a_connection_that_breaks_is_taken_up_where_it_broke(local: Hub) -> None:
    content = bytes(25_000_000)  # huggingface_hub takes it in pieces of 10 MiB
    local.add("me/tiny", {"a.gguf": content})
    path = local.path("me/tiny", "a.gguf")
    local.served.drop_after[path] = [22_000_000]
    found = outcome(local.run('print(json.dumps(attempt("me/tiny", "a.gguf")))'))
    assert Path(found).read_bytes() == content
    ranges = [headers.get("Range") or headers.get("range") for _, headers in local.served.requests]
    assert "bytes=20971520-" in ranges


def test_what_is_wrong_is_said_in_a_line(local: Hub) -> None:
    local.add("me/two", {"a-Q4_0.gguf": b"", "a-Q8_0.gguf": b""})
    local.add("me/none", {"model.safetensors": b""})
    local.add("me/gated", {"a.gguf": b""})
    local.fail(local.path("me/gated", "a.gguf"), 403, "GatedRepo")
    local.fail(local.path("me/private", "a.gguf"), 401, "RepoNotFound")
    local.fail("/api/models/me/private", 401, "RepoNotFound")
    local.fail(local.path("me/two", "no.gguf"), 404, "EntryNotFound")
    local.fail(local.path("me/two", "a-Q4_0.gguf", "v9"), 404, "RevisionNotFound")
    code = """
print(json.dumps([
    attempt("me/two"),
    attempt("me/two", "*Q5*.gguf"),
    attempt("me/none"),
    attempt("me/gated", "a.gguf"),
    attempt("me/private", "a.gguf"),
    attempt("me/private"),
    attempt("me/two", "no.gguf"),
    attempt("me/two", "a-Q4_0.gguf", revision="v9"),
    attempt("me/two/three", "a.gguf"),
    attempt("me/two", "a-Q8_0.gguf", local_files_only=True),
]))
"""
    said = outcome(local.run(code))
    words = [
        "several models match '*.gguf'. There is: a-Q4_0.gguf, a-Q8_0.gguf",
        "nothing matches '*Q5*.gguf'. There is: a-Q4_0.gguf, a-Q8_0.gguf",
        "There is: no GGUF file",
        "me/gated is gated",
        "no repository me/private on the hub, or it is private and needs a token",
        "no repository me/private on the hub, or it is private and needs a token",
        "me/two has no file no.gguf",
        "me/two has no such revision",
        "is not owner/name",
        "is not in the cache",
    ]
    for text, expected in zip(said, words, strict=True):
        assert text.startswith("LlamaDownloadError: "), text
        assert expected in text


def test_a_quantization_names_a_model(local: Hub, weights: bytes) -> None:
    names = ["t-Q4_K_M.gguf", "t-Q4_K_S.gguf", "t-IQ4_NL.gguf", "BF16/t-BF16.gguf"]
    others = ["mmproj-BF16.gguf", "t-mmproj-Q4_K_M.gguf", "imatrix-Q4_K_M.gguf", "mtp-Q4_K_M.gguf"]
    local.add("me/tiny", dict.fromkeys((*names, *others), weights))
    local.add("me/one", {"one.Q8_0.gguf": weights, "mmproj-model-f16.gguf": b""})
    code = """
with Llama("hf:me/one", n_ctx=64) as llm, LlamaModel.from_file("hf:me/tiny:q4_k_m") as model:
    print(json.dumps([llm.model.path.name, model.path.name, *(attempt(*a) for a in (
        ["me/tiny:BF16"], ["me/tiny:Q4_NL"], ["me/tiny", "*Q4_K_M.gguf"], ["me/tiny", "mmproj*"],
        ["me/tiny", "BF16/*"]))]))
"""
    one, named, folder, no, pattern, projector, inside = outcome(local.run(code))
    assert (one, named) == ("one.Q8_0.gguf", "t-Q4_K_M.gguf")
    assert folder.endswith("/BF16/t-BF16.gguf")
    assert inside == folder
    assert "nothing matches 'Q4_NL'. There is: BF16/t-BF16.gguf, t-IQ4_NL.gguf" in no
    assert Path(pattern).name == "t-Q4_K_M.gguf"
    assert Path(projector).name == "mmproj-BF16.gguf"


def test_progress_can_stop_a_download(local: Hub) -> None:
    local.add("me/tiny", {"a.gguf": os.urandom(100_000)})
    code = 'print(json.dumps(attempt("me/tiny", "a.gguf", progress=lambda *_: False)))'
    assert "LlamaCancelled: downloading a.gguf was stopped" in outcome(local.run(code))


def test_without_the_extra_the_error_names_it() -> None:
    done = run_python(
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from llama_cpp import LlamaModel\n"
        "try: LlamaModel.from_pretrained('me/tiny', 'a.gguf')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert done.stdout == (
        "A model from the hub needs huggingface_hub: pip install 'libllama-py[hub]'\n"
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("hf:me/tiny", ("me/tiny", "*.gguf", None)),
        ("hf:me/tiny:Q4_K_M", ("me/tiny:Q4_K_M", "*.gguf", None)),
        ("hf:me/tiny@v1:Q4_K_M", ("me/tiny:Q4_K_M", "*.gguf", "v1")),
        ("hf:me/tiny/a.gguf", ("me/tiny", "a.gguf", None)),
        ("hf:me/tiny@v1/sub/*Q4.gguf", ("me/tiny", "sub/*Q4.gguf", "v1")),
    ],
)
def test_a_model_in_a_line(
    monkeypatch: pytest.MonkeyPatch, spec: str, expected: tuple[str, str, str | None]
) -> None:
    asked = []

    def fetch(repo: str, file: str, *, revision: str | None, progress: object) -> Path:
        asked.append((repo, file, revision))
        return Path("x")

    monkeypatch.setattr(hub, "fetch", fetch)
    hub.resolve(spec)
    assert asked == [expected]


def test_a_path_stays_a_path() -> None:
    assert hub.resolve("some/model.gguf") == Path("some/model.gguf")
    for wrong in ("hf:", "hf:tiny", "hf:/tiny/a.gguf", "hf:me/tiny:Q4/a.gguf", "hf:a/b:"):
        with pytest.raises(ValueError, match="hf:owner/repo"):
            hub.resolve(wrong)
