"""`make bench` measures: each worker has the same result, and the tables show the numbers.

Never how fast: that is for a quiet machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import (
    agent,
    build,
    cancel,
    generation,
    guards,
    plot,
    report,
    rpc,
    service,
    share,
    speculative,
    spin,
    start,
    text,
)
from bench.measure import Spread, Worker, interleaved
from bench.place import Place, Topic
from tests.support import tiny, tiny_mmproj
from tests.support.python import ROOT, run_program


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("bench")
    model = tiny.make("llama", folder, facts={"context_length": 8192})
    return Place(folder, rounds=1, threads=1, model=model)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without parts that must be downloaded, or compiled for a minute."""

    def absent(*_: object) -> None:
        raise build.CannotMeasure("left out by the test")

    monkeypatch.setattr(build, "tool", absent)
    monkeypatch.setattr("bench.peer.environment", absent)


def fingerprints(*workers: Worker) -> Iterator[str]:
    for worker in workers:
        try:
            worker.start()
            assert worker.measure() > 0
        finally:
            worker.stop()
        yield worker.fingerprint


@pytest.mark.parametrize(
    ("task", "ours", "units"),
    [
        ("generate", "loop", 20),
        ("generate", "stream", 20),
        ("parallel", "parallel", 3),
        ("parallel", "many", 3),
        ("prompt", "prompt", 30),
        ("tokenize", "tokenize", 1),
        ("detokenize", "detokenize", 1),
        ("pieces", "pieces", 1),
        ("embed", "embed", 4),
    ],
)
def test_the_same_work_as_in_c(place: Place, task: str, ours: str, units: int) -> None:
    words = place.file("words.txt", "the cat sat on the mat and was once in time\n" * 4)
    given = (place.model, units, words)
    in_c, in_python = fingerprints(place.c(task, *given), place.ours(ours, *given))
    assert in_c == in_python
    assert in_c.isdecimal()


def test_null_engine(place: Place) -> None:
    done = run_program("null_engine", place.null_library, place.null_model)
    assert done.stdout == "done\n", done.stderr


def test_one_library_does_not_get_into_another(place: Place, tmp_path: Path) -> None:
    # The null engine has every function of llama.cpp; the real libmtmd must not find them.
    model, mmproj = tiny.make("llama", tmp_path), tiny_mmproj.make(tmp_path)
    done = run_program("two_libraries", place.null_library, place.null_model, model, mmproj)
    assert "the cat" in done.stdout, done.stderr


def test_share_of_python(place: Place, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "_LONG", 64)
    monkeypatch.setattr(share, "_SHORT", 32)
    table = share.share(place)
    rows = {row.name: row for row in table.rows}
    assert 0 < rows["ours, decode and sample"].number.median < 1e6
    assert "ours, loop, decode apart, busy over idle" in rows
    assert "left out by the test" in str(table)


def test_share_of_the_checks(place: Place) -> None:
    rows = {row.name: row for row in guards.guards(place).rows}
    assert rows["decode of 512 tokens"].number.median > 0
    assert rows["save the state"].number.median > 0
    assert all(re.fullmatch(r"[\d,.]+ us, bare [\d,.]+ us", row.note) for row in rows.values())


def test_a_tiny_model(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_TINY", 24)
    monkeypatch.setattr(generation, "_TINY_LONG", (36, 48))
    # As if it were llama-cpp-python, which has to be downloaded.
    monkeypatch.setattr(place, "theirs", place.ours)
    rows = {row.name: row for row in generation.tiny(place).rows}
    row = rows["ours, Llama.generate, over llama-cpp-python stream, 48 tokens"]
    assert 0.1 < row.number.median < 10
    assert str(row.target) == ">= 3"


@pytest.mark.parametrize("topic", [generation.prompt, text.tokenize, text.embeddings, start.memory])
def test_topics(
    place: Place, alone: None, topic: generation.Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_WORDS", 20)
    table = topic(place)
    assert any(row.name.startswith("ours") and row.number.median > 0 for row in table.rows)
    assert re.search(r"reached|MISSED", str(table))


@pytest.mark.parametrize(
    ("topic", "smaller"),
    [
        (agent.agent, {"REQUESTS": 2}),
        (service.service, {"_CLIENTS": (1, 2), "_TOKENS": 8}),
        (start.stored, {"_LONG": 64}),
        (service.talks, {"_TALKS": (2,), "_TURNS": 2}),
        (spin.spin, {"_COUNTS": ("300000", "300"), "_SEQUENCES": (1,), "_OTHERS": 1}),
    ],
)
def test_topics_with_servers_and_programs(
    place: Place, topic: Topic, smaller: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in smaller.items():
        monkeypatch.setattr(f"{topic.__module__}.{name}", value)
    assert all(row.number.low > 0 for row in topic(place).rows if row.unit != "ms")


def test_drafts_give_the_same_tokens(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculative, "TASKS", {"copy": "the cat sat on the mat and the cat"})
    monkeypatch.setattr(speculative, "_N", 12)
    monkeypatch.setattr(speculative, "_N_NULL", 24)
    rows = speculative.speculative(place).rows
    assert len(rows) == 8
    assert all(row.note.endswith("right, the same tokens") for row in rows)


def test_cancelling(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "TRIES", 2)
    table = cancel.cancel(Place(tmp_path, 1, 2, model_path))
    assert [row.name for row in table.rows] == ["signal (Ctrl-C)", "another thread", "time limit"]
    assert all("usable afterwards" in row.note for row in table.rows)


def test_rpc_gives_the_same_tokens(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_PROMPT", "the cat sat on the mat")
    monkeypatch.setattr(rpc, "_TEXT", 6)
    rows = rpc.rpc(place).rows
    assert [row.name for row in rows[:4]] == [
        "prompt, local", "prompt, 1 server", "prompt, 2 servers", "prompt, 3 servers"
    ]  # fmt: skip
    assert all(row.number.median > 0 for row in rows)
    assert [row.note.endswith(", same tokens") for row in rows] == 2 * [False, True, True, True]


def test_rpc_that_is_slow_is_measured_less_often(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "_PROMPT", "the cat sat on the mat")
    monkeypatch.setattr(rpc, "_TEXT", 2)
    monkeypatch.setattr(rpc, "_MOST", 1)
    monkeypatch.setattr("bench.measure._SLOW", 0.3)
    measure = rpc._OnServers.measure

    def slowly(one: rpc._OnServers) -> float:
        time.sleep(0.4 * one._n)
        return measure(one)

    monkeypatch.setattr(rpc._OnServers, "measure", slowly)
    place = Place(place.folder, rounds=2, threads=1, model=place.model)
    assert len(rpc.rpc(place).rows) == 4


def test_what_fails_is_said(place: Place) -> None:
    with pytest.raises(build.CannotMeasure, match="finding the task"):
        interleaved({"wrong": place.c("wrong", place.model, 1, place.model)}, 1)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--model", "absent.gguf", "--rounds", "1", "memory"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "could not be measured: memory" in done.stderr
    assert "absent.gguf" in done.stdout


def test_rounds_are_interleaved() -> None:
    asked: list[str] = []

    class Counter:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self) -> None:
            asked.append(f"start {self.name}")

        def measure(self) -> float:
            asked.append(self.name)
            return 1.0

        def stop(self) -> None:
            asked.append(f"stop {self.name}")

    found = interleaved({"a": Counter("a"), "b": Counter("b")}, 4)
    assert [len(values) for values in found.values()] == [4, 4]
    first = "start a, start b, a, b, b, a, a, b, stop b, stop a"
    assert ", ".join(asked) == f"{first}, start a, start b, b, a, stop b, stop a"
    found = interleaved({"a": Counter("a"), "b": Counter("b")}, 4, more=True)
    assert [len(values) for values in found.values()] == [12, 12]  # they are quick


def test_the_summary_counts_targets() -> None:
    least, one = report.at_least(0.97), Spread(0.9, 0.9, 0.9)
    tables = {
        "first": report.Table("", [report.Row("a", Spread(1, 1, 1), target=least)]),
        "second": report.Table("", [report.Row("b", one, target=least), report.Row("c", one)]),
    }
    counted, missed = report.summary(tables).splitlines()
    assert counted == "targets: 1 reached, 1 missed"
    assert missed == "  MISSED  second: b: 0.900 x [0.900 0.900], not >= 0.97"


def test_tables() -> None:
    table = report.Table("a title")
    report.against_c(
        table,
        {report.C: [2.0, 2.0, 2.0], "ours": [2.5, 2.0, 1.6]},
        {"ours": report.at_least(0.97)},
    )
    (row,) = table.rows
    assert row.number == pytest.approx(Spread(1.0, 0.9, 1.125))
    assert row.cells[3:5] == (">= 0.97", "reached")
    assert not report.at_most(5).reached(5.1)
    assert json.dumps(str(table)).startswith('"a title\\n  ours  1.000 x  [0.900 1.125]')


def test_a_plot_has_a_bar_for_each_speed_up() -> None:
    rows = [
        report.Row("ours & more", Spread(1.0, 0.9, 1.1)),
        report.Row("llama-cpp-python stream", Spread(0.5, 0.4, 0.6)),
        report.Row("memory", Spread(17, 16, 18), unit="MB"),
    ]
    tables = {
        "generation": report.Table("title", rows, ["speed over C"]),
        "start": report.Table("where shorter is better", rows),
    }
    text = plot.svg(tables, "2 threads")
    picture = ElementTree.fromstring(text)
    bars = picture.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "theirs"]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert {"ours & more", "generation: speed over C", "2 threads"} <= set(picture.itertext())
