"""`relume bench`: whole processes are measured, beside one that decodes and encodes alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from relume.errors import ExitCode, Fault
from relume.evaluate import bench
from relume.evaluate.bench import PEERS, Cost, Variant, as_csv, measure, picture, rows, variants
from shared import Result


def cost(width: int = 64, precision: str = "float32", seconds: float = 0.5) -> Cost:
    return Cost(
        *("photo", "onnxruntime", precision, width, 48),
        *(seconds, 0.4, 2.5, 2.0, 120, 2.2, 20.07),
        threads=1,
        rounds=3,
    )


def test_a_process_is_measured_beside_the_codec() -> None:
    [found] = measure([Variant("lol", "onnxruntime", "float32")], 64, 48, threads=1, rounds=1)
    assert (found.model, found.width, found.height, found.rounds) == ("lol", 64, 48, 1)
    assert 0 < found.processor_seconds < 20
    assert found.ratio > 1
    assert found.peak_mib > 50
    assert found.graphs_mib == pytest.approx(2.2, abs=0.3)
    assert found.psnr == pytest.approx(21.5, abs=0.1)


def test_what_fails_is_told() -> None:
    with pytest.raises(Fault, match="no model is called 'none'"):
        list(measure([Variant("none", "onnxruntime", "float32")], 64, 48, threads=1, rounds=1))


def test_every_engine_and_precision_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: name == "onnxruntime")
    assert variants([]) == [
        Variant("lol", "onnxruntime", "float32"),
        Variant("photo", "onnxruntime", "float32"),
        Variant("photo", "onnxruntime", "int8"),
    ]
    assert variants(["lol"]) == [Variant("lol", "onnxruntime", "float32")]


def test_tables_and_pictures() -> None:
    costs = [cost(), cost(precision="int8", seconds=0.3), cost(640)]
    assert rows(costs)[1] == [
        "photo, onnxruntime, float32",
        "64x48",
        "0.5",
        "0.4",
        "2.5",
        "2.0",
        "120",
        "2.2",
    ]
    line = next(csv.DictReader(as_csv(costs).splitlines()))
    assert (line["seconds"], line["cores"].isdigit(), bool(line["onnxruntime"])) == ("0.5", True, True)
    pytest.importorskip("matplotlib")
    drawn = picture(costs, ".svg").decode()
    assert all(f"<!-- {name} -->" in drawn for name in ("photo", *(peer.name for peer in PEERS)))
    assert "<!-- photo, onnxruntime, int8 -->" in drawn


def test_the_command_writes_what_it_is_asked_for(
    relume: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def measured(chosen: Sequence[Variant], width: int, height: int, **_: Any) -> Iterator[Cost]:
        asked.append((width, height))
        yield cost(width)

    monkeypatch.setattr(bench, "measure", measured)
    files = [tmp_path / f"costs{suffix}" for suffix in (".csv", ".md", ".json")]
    done = relume("bench", "--size", "64x48", "--size", "32x48", *(f"-o{file}" for file in files))
    assert done.code == 0
    assert asked == [(64, 48), (32, 48)]
    assert "64x48" in done.out.decode()
    assert [each["width"] for each in json.loads(files[2].read_text())] == [64, 32]
    assert files[1].read_text().startswith("| model, engine, precision |")


@pytest.mark.parametrize("size", ["64", "0x4", "1000000x4", "99999x99999", "axb"])
def test_sizes_are_checked(relume: Callable[..., Result], size: str) -> None:
    assert relume("bench", "--size", size).code == ExitCode.USAGE
