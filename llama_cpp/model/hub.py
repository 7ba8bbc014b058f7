"""Models from the Hugging Face Hub. It needs the extra ``hub``.

`LlamaModel.from_pretrained` and `Llama.from_pretrained` use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .._dataclasses import dataclass
from .._display import bar
from .._needs import needs
from ..engine.find import cache_root
from ..errors import LlamaCancelled, LlamaDownloadError, LlamaError
from ..native.arguments import check_type
from .gguf import SPLIT, part_names

DownloadProgress = Callable[[str, int, int | None], object]
"""Called with the name of the file, the bytes so far, and the total if it is known. Returning False
stops the download."""

_SPEC = re.compile(
    r"hf:(?P<repo>[^/@:\s]+/[^/@:\s]+)(@(?P<revision>[^/:\s]+))?"
    r"((?P<tag>:[^/@:\s]+)|/(?P<file>.+))?"
)
# GGUF files that are not models, by upstream's words for them (common/download.cpp).
_OTHERS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")


def fetch(
    repo: str,
    file: str = "*.gguf",
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    progress: DownloadProgress | None = None,
) -> Path:
    """Fetch ``file`` of the repository ``repo`` into the cache of ``huggingface_hub``. Returns its
    path there; for a split model that of the first part, with the other parts next to it.

    ``repo`` is ``owner/name``, or ``owner/name:Q4_K_M`` for the one model of that quantization.
    ``file`` is a name, with its folders, or a pattern such as ``*Q4_K_M.gguf`` that one model
    matches; a pattern without a slash is for the name without folders. Projectors and importance
    matrices count only where the pattern has ``mmproj`` or ``imatrix`` in it. Of a split model it
    is the first part, or a pattern for the name without ``-00001-of-00003``. ``revision`` is a
    branch, a tag or a commit, ``main`` by default; ``token`` the key for private files, by
    default the one that ``hf auth login`` keeps or ``HF_TOKEN``; ``cache_dir`` another cache.

    Cached files are not fetched again, and a broken download resumes; a file that was unfinished
    when the program ended is begun again. Without a network, with ``local_files_only`` or with
    ``HF_HUB_OFFLINE=1`` only the cache is used. Without ``progress`` there is a bar in
    notebooks; elsewhere ``huggingface_hub`` shows its own.

    Raises LlamaDownloadError, with the hub's message and, for a pattern, the files that there are;
    LlamaCancelled when ``progress`` stopped it; ModuleNotFoundError without the extra ``hub``;
    ValueError for a quantization and a file together.
    """
    check_type(repo, str)
    check_type(file, str)
    name, _, tag = repo.partition(":")
    if tag and file != "*.gguf":
        raise ValueError(f"give {file!r} or the quantization in {repo!r}, not both")
    repo = name
    hub = needs("huggingface_hub", "A model from the hub", extra="hub")
    import huggingface_hub.errors  # noqa: F401 (hub.errors is there after it)

    options: dict[str, Any] = {
        "revision": revision,
        "cache_dir": cache_dir,
        "token": token,
        "local_files_only": local_files_only,
    }
    with _said_in_a_line(hub, repo, file):
        if tag or any(c in file for c in "*?["):
            names = _choose(_names(hub, repo, options), repo, file, tag)
        else:
            names = part_names(file)
        found = []
        for name in names:
            report = progress or _in_notebook(name)
            shown = None if report is None else _bar(report, name)
            found.append(Path(hub.hf_hub_download(repo, name, tqdm_class=shown, **options)))
        return found[0]


def resolve(model: str, *, progress: DownloadProgress | None = None) -> Path:
    """``model`` as a path: a path stays as it is, and ``hf:owner/repo:Q4_K_M`` is fetched.

    Instead of the quantization there can be a file or a pattern, ``hf:owner/repo/*Q4_K_M.gguf``,
    or nothing if the repository has one model. A revision goes after the repository:
    ``hf:owner/repo@v1:Q4_K_M``. Raises like `fetch`, and ValueError for another name that begins
    with ``hf:``.
    """
    if not model.startswith("hf:"):
        return Path(model)
    match = _SPEC.fullmatch(model)
    if match is None:
        raise ValueError(f"{model!r} is not hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf")
    repo, file = match["repo"] + (match["tag"] or ""), match["file"] or "*.gguf"
    return fetch(repo, file, revision=match["revision"], progress=progress)


@dataclass(frozen=True)
class CachedModel:
    """A model in a cache."""

    name: str
    """``hf:owner/repo/file.gguf``, or the file name of a model in this package's own cache."""
    files: tuple[Path, ...]
    """All parts; the first is the one to load."""

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(file.stat().st_size for file in self.files)

    def is_called(self, word: str) -> bool:
        """Whether ``word`` is the whole name, the file name or the file name without its suffix."""
        file = self.files[0].name
        return word in (self.name, file, re.sub(SPLIT, ".gguf", file).removesuffix(".gguf"))


def cached_models() -> list[CachedModel]:
    """The models in this package's cache, and in that of the hub with the extra ``hub``."""
    folder = cache_root() / "models"
    found = [CachedModel(path.name, (path,)) for path in folder.glob("*.gguf")]
    try:
        import huggingface_hub
    except ImportError:
        return found
    try:
        repos = huggingface_hub.scan_cache_dir().repos
    except huggingface_hub.CacheNotFound:
        return found
    for repo in repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            files = {file.file_path for file in revision.files if file.file_path.is_file()}
            for path in files:
                name = path.relative_to(revision.snapshot_path).as_posix()
                parts = [revision.snapshot_path / part for part in part_names(name)]
                if path.suffix == ".gguf" and path == parts[0]:
                    there = tuple(part for part in parts if part in files)
                    found.append(CachedModel(f"hf:{repo.repo_id}/{name}", there))
    return sorted(found, key=lambda model: model.name)


def cached_model(word: str) -> CachedModel:
    """The cached model of this name. LlamaError if there is none, or more than one."""
    found = [model for model in cached_models() if model.is_called(word)]
    if len({model.name for model in found}) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted({model.name for model in found}))
        raise LlamaError(f"several models are called {word}: {names}")
    near = _nearest(word, [model.name for model in cached_models()])
    raise LlamaError(
        f"there is no model {word}{near and f'; did you mean {near}?'}"
        f"{' Or' if near else ':'} give a GGUF file, hf:owner/repo:Q4_K_M, or a name that "
        "'llama-py models' lists"
    )


def _nearest(word: str, names: list[str]) -> str:
    """The name that ``word`` probably means: it is a part of the name, or spelled like it; ""
    without one."""
    import difflib  # which only an error needs

    word = Path(word).name.lower()
    parts = [name for name in names if len(word) > 2 and word in name.lower()]
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word, lower, 1)
    return parts[0] if parts else lower[close[0]] if close else ""


def _choose(names: Sequence[str], repo: str, pattern: str, tag: str) -> list[str]:
    """The one model among ``names`` that ``pattern``, or a quantization's ``tag``, means, as its
    parts."""
    models: dict[str, list[str]] = {}  # by the name without a part's number
    for name in sorted(n for n in names if n.endswith(".gguf")):
        words = [word for word in _OTHERS if word in name.rpartition("/")[2].lower()]
        if all(word in pattern.lower() for word in words):
            models.setdefault(re.sub(SPLIT, ".gguf", name), []).append(name)
    folders = "/" in pattern
    tagged = re.compile(rf"(?<![^-._/]){re.escape(tag)}[-.]", re.IGNORECASE).search
    found = [
        model
        for model, parts in models.items()
        if any(fnmatchcase(n if folders else Path(n).name, pattern) for n in (model, *parts))
        and (not tag or tagged(model))
    ]
    if len(found) == 1:
        return models[found[0]]
    there = ", ".join(found or models) or "no GGUF file"
    problem = "several models match" if found else "nothing matches"
    raise LlamaDownloadError(f"{repo}: {problem} {tag or pattern!r}. There is: {there}")


def _names(hub: Any, repo: str, options: dict[str, Any]) -> list[str]:
    """The files of the repository: by the hub, or without a network by the cache."""
    revision, offline = options["revision"], options["local_files_only"]
    if not offline:
        try:
            info = hub.HfApi(token=options["token"]).model_info(repo, revision=revision, timeout=10)
            return [sibling.rfilename for sibling in info.siblings or []]
        except hub.errors.HfHubHTTPError:
            raise  # the hub has answered
        except (OSError, hub.errors.OfflineModeIsEnabled, *_network_errors(hub)) as error:
            reason: Exception | None = error
    else:
        reason = None
    try:
        folder = Path(
            hub.snapshot_download(
                repo,
                revision=revision,
                cache_dir=options["cache_dir"],
                local_files_only=True,
                # Whether all of it is there does not matter here.
                allow_patterns=[],
            )
        )
    except hub.errors.LocalEntryNotFoundError as error:
        raise LlamaDownloadError(
            f"{repo} is not in the cache, and the hub was not "
            + ("to be asked" if reason is None else f"reached: {_first_line(reason)}")
        ) from error
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*.gguf")]


def _network_errors(hub: Any) -> tuple[type[Exception], ...]:
    """The errors of its HTTP client without a connection; the client has changed before."""
    base = getattr(hub.errors, "HTTPError", None)
    return () if base is None else (base,)


@contextmanager
def _said_in_a_line(hub: Any, repo: str, file: str) -> Iterator[None]:
    """The hub's errors, which are paragraphs, as LlamaDownloadError."""
    errors = hub.errors
    token = "token (token=, HF_TOKEN, or `hf auth login`)"
    try:
        yield
    except (
        *(errors.HfHubHTTPError, errors.EntryNotFoundError, errors.HFValidationError),
        *(*_network_errors(hub), OSError),
    ) as error:
        line = _first_line(error)
        messages = {
            errors.GatedRepoError: (
                f"{repo} is gated: accept its conditions on the hub, then give a {token}"
            ),
            errors.RepositoryNotFoundError: (
                f"there is no repository {repo} on the hub, or it is private and needs a {token}"
            ),
            errors.RevisionNotFoundError: f"{repo} has no such revision: {line}",
            errors.LocalEntryNotFoundError: (
                f"{repo}/{file} is not in the cache, and the hub not asked or not reached: {line}"
            ),
            errors.EntryNotFoundError: (
                f"{repo} has no file {file}. A pattern such as '*Q4_K_M.gguf' finds one by its end"
            ),
            errors.HFValidationError: f"{repo!r} is not owner/name: {line}",
        }
        known = (text for kind, text in messages.items() if isinstance(error, kind))
        raise LlamaDownloadError(next(known, f"{repo}/{file}: {line}")) from error


def _first_line(error: BaseException) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )


def _in_notebook(name: str) -> DownloadProgress | None:
    shown = bar(f"Downloading {name}")
    return shown and (lambda _, here, total: shown(here / total) if total else None)


def _bar(progress: DownloadProgress, name: str) -> type[Any]:
    """A progress bar class for the hub's library that draws nothing and calls ``progress``."""
    from huggingface_hub import utils

    base: Any = utils.tqdm  # type: ignore[attr-defined]  # documented, but not in its __all__

    class Bar(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self._all = options.get("total")
            self._here = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._here += int(n or 0)
            if progress(name, self._here, self._all) is False:
                raise LlamaCancelled(f"downloading {name} was stopped by progress")
            return None

    return Bar
