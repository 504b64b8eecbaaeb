"""`relume evaluate` and `relume compare` on small made-up pairs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relume.errors import ExitCode
from relume.models import store
from relume.photo import Photo, write_photo
from shared import Result, dark

Run = Callable[..., Result]
STATISTICS = {
    "mean_luma",
    "contrast",
    "clipped_shadows",
    "clipped_highlights",
    "mean_a",
    "mean_b",
    "noise_sigma",
}
SCORES = {"psnr", "ssim", "ssim_uniform7", "psnr_gt_mean"}


def _contents(folder: Path) -> dict[Path, bytes]:
    """Every path below a folder, with what files hold."""
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs, `low/` and `high/`; the targets are six times as bright."""
    for side, factor in (("low", 1), ("high", 6)):
        (tmp_path / side).mkdir()
        for seed in range(3):
            write_photo(Photo(dark(40, 44, seed=seed) * factor), tmp_path / side / f"{seed}.png")
    return tmp_path


def test_scores_as_json(relume: Run, pairs: Path) -> None:
    result = relume("evaluate", pairs / "low", pairs / "high", "--json")
    assert (result.code, result.err) == (0, "")
    report = json.loads(result.out)
    assert report.keys() >= SCORES | {"n", "params", "per_image"}
    assert report["n"] == 3
    assert report["params"] > 0
    assert [row["name"] for row in report["per_image"]] == ["0", "1", "2"]
    for row in report["per_image"]:
        assert row.keys() >= SCORES
    assert report["psnr"] == pytest.approx(sum(row["psnr"] for row in report["per_image"]) / 3, abs=1e-4)


def test_scores_as_text_and_to_a_file(relume: Run, pairs: Path) -> None:
    text = relume("evaluate", pairs / "low", pairs / "high", "--images").out.decode()
    assert "PSNR" in text.upper()
    result = relume("evaluate", pairs / "low", pairs / "high", "-o", pairs / "report.json")
    assert result.code == 0
    assert json.loads((pairs / "report.json").read_text())["n"] == 3


def test_one_pair(relume: Run, pairs: Path) -> None:
    result = relume("evaluate", pairs / "low" / "1.png", pairs / "high" / "1.png", "--json")
    assert json.loads(result.out)["n"] == 1


def test_finished_results(relume: Run, pairs: Path) -> None:
    result = relume("evaluate", pairs / "low", pairs / "high", "--pred", pairs / "high", "--json")
    report = json.loads(result.out)
    assert (report["psnr"], report["ssim"], report["params"]) == (100, 1, None)
    same = relume("evaluate", pairs / "low", pairs / "high", "--strength", 0, "--json")
    dull = relume("evaluate", pairs / "low", pairs / "high", "--pred", pairs / "low", "--json")
    assert json.loads(same.out)["per_image"] == json.loads(dull.out)["per_image"]


def test_finished_results_go_by_name_as_pairs_do(relume: Run, pairs: Path) -> None:
    for side in ("low", "high"):
        (pairs / side / "0.png").rename(pairs / side / "e\u0301.png")
    results = pairs / "results"
    shutil.copytree(pairs / "high", results)
    (results / "e\u0301.png").rename(results / "\u00e9.png")
    for stranger in ("1.txt", "2.json", ".2.png"):
        (results / stranger).write_text("no image")
    arguments = ("evaluate", pairs / "low", "--pred", results, "--json")
    assert json.loads(relume(*arguments, pairs / "high").out)["psnr"] == 100
    assert relume(*arguments).code == 0
    shutil.copy(results / "1.png", results / "1.jpg")
    twice = relume(*arguments, pairs / "high")
    assert (twice.code, twice.out) == (ExitCode.DATA, b"")
    assert "1.jpg has the same name" in twice.err


def test_only_what_a_split_holds_out(relume: Run, pairs: Path) -> None:
    split = pairs / "split.json"
    split.write_text('{"train": ["0"], "validation": ["1", "2"]}')
    result = relume("evaluate", pairs / "low", pairs / "high", "--split", split, "--json")
    assert json.loads(result.out)["n"] == 2
    assert "not here" not in result.err


def test_a_split_of_other_things_than_names(relume: Run, pairs: Path) -> None:
    split = pairs / "split.json"
    split.write_text('{"validation": [["1"]]}')
    result = relume("evaluate", pairs / "low", pairs / "high", "--split", split)
    assert result.code == ExitCode.DATA


def test_splits_that_come_with_relume_go_by_name(relume: Run, pairs: Path) -> None:
    for side in ("low", "high"):
        (pairs / side / "0.png").rename(pairs / side / "78.png")
    result = relume("evaluate", pairs / "low", pairs / "high", "--split", "our485_scenes", "--json")
    assert [row["name"] for row in json.loads(result.out)["per_image"]] == ["78"]
    assert "47 of the 48 images that it holds out are not here" in result.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--model", "none"], ExitCode.MODEL),
        (["-o", "both.csv", "-o", "./both.csv"], ExitCode.USAGE),
        (["--strength", "2"], ExitCode.USAGE),
        (["--strength", "much"], ExitCode.USAGE),
        (["--exposure", "3"], ExitCode.USAGE),
        (["--pred", "empty"], ExitCode.DATA),
        (["--pred", "missing"], ExitCode.DATA),
        (["--split", "missing.json"], ExitCode.INPUT_UNREADABLE),
        (["--split", "low/0.png"], ExitCode.DATA),
        (["--split", "broken.json"], ExitCode.INPUT_INVALID),
        (["--split", "list.json"], ExitCode.DATA),
        (["--split", "nobody.json"], ExitCode.DATA),
        (["-o", "missing/report.json"], ExitCode.OUTPUT_UNWRITABLE),
    ],
)
def test_refusals(
    relume: Run, pairs: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: ExitCode
) -> None:
    monkeypatch.chdir(pairs)
    Path("empty").mkdir()
    Path("list.json").write_text("[1, 2]")
    Path("broken.json").write_text("{")
    Path("nobody.json").write_text('{"validation": ["nobody"]}')
    result = relume("evaluate", "low", "high", *options)
    assert (result.code, result.out) == (code, b"")
    assert result.err.startswith("relume: ")
    assert result.err.count("\n") == 1


def test_a_missing_partner_is_named(relume: Run, pairs: Path) -> None:
    (pairs / "high" / "1.png").unlink()
    result = relume("evaluate", pairs / "low", pairs / "high")
    assert result.code == ExitCode.DATA
    assert "1.png" in result.err


def test_sizes_that_differ_are_named(relume: Run, pairs: Path) -> None:
    write_photo(Photo(dark(40, 45)), pairs / "high" / "1.png")
    result = relume("evaluate", pairs / "low", pairs / "high")
    assert result.code == ExitCode.DATA
    assert "1.png" in result.err


def test_a_model_is_scored_alone_unless_options_say_otherwise(relume: Run, pairs: Path) -> None:
    def report(*options: object) -> object:
        result = relume("evaluate", pairs / "low", pairs / "high", "--json", *options)
        return json.loads(result.out)["per_image"]

    alone = report()
    assert alone == report("--strength", 1, "--denoise", 1, "--highlight-guard", 0, "--colour-guard", 0)
    assert alone != report("--exposure", 0.3)


def test_a_model_is_scored_at_the_precision_that_is_asked_for(relume: Run, pairs: Path) -> None:
    def score(*options: str) -> float:
        ran = relume("evaluate", pairs / "low", pairs / "high", "--models", "photo", "--json", *options)
        return json.loads(ran.out)["psnr"]

    assert score("--precision", "float32") == score() != score("--precision", "int8")


def test_statistics_without_targets(relume: Run, pairs: Path) -> None:
    result = relume("evaluate", pairs / "low", "--json", "-o", pairs / "table.csv")
    assert (result.code, result.err) == (0, "")
    report = json.loads(result.out)
    assert report["n"] == 3
    assert report["after"]["mean_luma"] > 2 * report["before"]["mean_luma"]
    assert [row["name"] for row in report["per_image"]] == ["0.png", "1.png", "2.png"]
    for row in report["per_image"]:
        assert row["before"].keys() == row["after"].keys() == STATISTICS
    rows = list(csv.DictReader((pairs / "table.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert float(rows[0]["after_noise_sigma"]) == report["per_image"][0]["after"]["noise_sigma"]


def test_statistics_as_text_and_markdown(relume: Run, pairs: Path) -> None:
    table = pairs / "table.md"
    result = relume("evaluate", pairs / "low", "--strength", 0, "--images", "-o", table)
    lines = result.out.decode().splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["image", "0.png", "after"]
    before, after = (line.split() for line in lines[-3:-1])
    assert (before[0], after[0]) == ("photos", "photo")
    assert before[1:] == after[1:]
    assert table.read_text().startswith("| mean of | images | luma |")


def test_statistics_of_finished_results(relume: Run, pairs: Path) -> None:
    result = relume("evaluate", pairs / "low", "--pred", pairs / "high", "--json")
    after = json.loads(result.out)["after"]
    alone = relume("evaluate", pairs / "high", "--strength", 0, "--json")
    assert after == json.loads(alone.out)["before"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["missing"], ExitCode.INPUT_UNREADABLE),
        (["low", "--split", "low/0.png"], ExitCode.USAGE),
        (["low", "-o", "table.txt"], ExitCode.USAGE),
        (["small.png"], ExitCode.DATA),
    ],
)
def test_statistics_refused(
    relume: Run, pairs: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: ExitCode
) -> None:
    monkeypatch.chdir(pairs)
    write_photo(Photo(dark(2, 9)), Path("small.png"))
    result = relume("evaluate", *arguments)
    assert (result.code, result.out) == (code, b"")
    assert result.err.count("\n") == 1


def test_a_sheet_as_png(relume: Run, pairs: Path) -> None:
    result = relume("compare", pairs / "low", pairs / "high", "-o", pairs / "sheet.png")
    assert (result.code, result.out) == (0, b"")
    with Image.open(pairs / "sheet.png") as image:
        assert image.format == "PNG"
        sheet = np.asarray(image.convert("RGB")).tobytes()
    for seed in range(3):
        low, high = (dark(40, 44, seed=seed) * factor for factor in (1, 6))
        assert all(line.tobytes() in sheet for line in (*low, *high))


def test_a_sheet_as_html(relume: Run, pairs: Path) -> None:
    result = relume("compare", pairs / "low", "-o", pairs / "sheet.html", "--limit", 2)
    assert result.code == 0
    page = (pairs / "sheet.html").read_text()
    assert "<html" in page
    assert page.count("data:image/webp") == 4  # two scenes, each before and after


def test_a_sheet_of_what_a_split_holds_out_as_enhance_would_make_it(relume: Run, pairs: Path) -> None:
    split = pairs / "split.json"
    split.write_text('{"validation": ["1"]}')
    page, untouched = pairs / "sheet.html", pairs / "untouched.html"
    assert relume("compare", pairs, "--split", split, "--strength", "auto", "-o", page).code == 0
    assert relume("compare", pairs, "--split", split, "--strength", 0, "-o", untouched).code == 0
    assert page.read_text().count("data:image/webp") == 3  # input, result and target
    shown = [set(re.findall('data:image/webp[^"]+', file.read_text())) for file in (page, untouched)]
    assert [len(pictures) for pictures in shown] == [3, 2]  # at strength 0 the result is the input


def test_a_reduced_photo_is_scored_at_full_resolution(relume: Run, pairs: Path) -> None:
    whole, reduced = (
        json.loads(relume("evaluate", pairs, "--downsample", factor, "--json").out) for factor in (1, 2)
    )
    assert whole["n"] == reduced["n"]
    assert whole["psnr"] != reduced["psnr"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["low", "--split", "split.json"], ExitCode.USAGE),
        (["low", "high", "--split", "missing.json"], ExitCode.INPUT_UNREADABLE),
        (["low", "high", "--downsample", "9"], ExitCode.USAGE),
        (["low", "high", "-o", "sheet.jpg"], ExitCode.USAGE),
        (["low", "high", "-o", "missing/sheet.png"], ExitCode.OUTPUT_UNWRITABLE),
        (["low", "high", "-o", "folder.png"], ExitCode.OUTPUT_UNWRITABLE),
        (["low/1.png", "-o", "low/1.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--limit", "1", "-o", "high/2.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "-o", "link.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--models", "lol,none"], ExitCode.MODEL),
        (["low", "missing"], ExitCode.DATA),
        (["missing"], ExitCode.INPUT_UNREADABLE),
    ],
)
def test_compare_refusals(
    relume: Run, pairs: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: ExitCode
) -> None:
    monkeypatch.chdir(pairs)
    Path("folder.png").mkdir()
    Path("link.png").symlink_to("low/1.png")
    before = _contents(pairs)
    result = relume("compare", *arguments)
    assert result.code == code
    assert result.err.count("\n") == 1
    assert _contents(pairs) == before


def test_compare_takes_no_negative_number_of_photos(relume: Run, pairs: Path) -> None:
    result = relume("compare", pairs / "low", "--limit", -1)
    assert result.code == ExitCode.USAGE
    assert "--limit" in result.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["low", "high", "-o", "low/1.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "-o", "low/1.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--split", "split.json", "-o", "high/2.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--split", "split.json", "-o", "split.json"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--pred", "results", "-o", "results/9.png"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "--models", "card.json", "-o", "card.json"], ExitCode.OUTPUT_EXISTS),
        (["listed", "-o", "listed/pairs.csv"], ExitCode.OUTPUT_EXISTS),
        (["low", "high", "-o", "missing/table.md"], ExitCode.OUTPUT_UNWRITABLE),
        (["low", "-o", "low"], ExitCode.OUTPUT_UNWRITABLE),
        (["low", "high", "-o", "table.md", "-o", "missing/report.json"], ExitCode.OUTPUT_UNWRITABLE),
    ],
)
def test_outputs_are_refused_before_anything_is_scored(
    relume: Run, pairs: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: ExitCode
) -> None:
    monkeypatch.chdir(pairs)
    monkeypatch.setattr("relume.photo.read_photo", None)
    Path("split.json").write_text('{"validation": ["1"]}')
    shutil.copytree("low", "results")
    shutil.copy("low/1.png", "results/9.png")
    for file in Path(str(store.WEIGHTS)).glob("lol.*"):
        shutil.copy(file, "card.json" if file.suffix == ".json" else file.name)
    Path("listed").mkdir()
    Path("listed/frames").symlink_to(pairs)
    Path("listed/pairs.csv").write_text("scene,low,high\n0,low/1.png,high/1.png\n")
    before = _contents(pairs)
    result = relume("evaluate", *arguments)
    assert (result.code, result.out) == (code, b"")
    assert result.err.count("\n") == 1
    assert _contents(pairs) == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_names_that_are_no_text_are_escaped(relume: Run, pairs: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    for side in ("low", "high"):
        (pairs / side / "1.png").rename(pairs / side / name)
    table, page = pairs / "table.csv", pairs / "page.html"
    result = relume("evaluate", pairs, "--classical", "input", "-o", table, "--images")
    assert (result.code, result.err) == (0, "")
    assert b"\\udcff" in result.out
    assert "\\udcff" in table.read_text()
    assert relume("compare", pairs, "--classical", "input", "-o", page).code == 0
    assert page.exists()


def test_a_set_of_pairs_brings_its_own_targets(relume: Run, pairs: Path) -> None:
    both = json.loads(relume("evaluate", pairs / "low", pairs / "high", "--json").out)
    assert json.loads(relume("evaluate", pairs, "--json").out) == both
    listed = pairs / "listed"
    (pairs / "high").rename(pairs / "targets")
    listed.mkdir()
    (listed / "frames").symlink_to(pairs)
    (listed / "pairs.csv").write_text("scene,low,high\n0,low/1.png,targets/1.png\n")
    assert json.loads(relume("evaluate", listed, "--json").out)["n"] == 1
    assert relume("compare", listed, "-o", pairs / "page.html").code == 0
    assert re.findall('<span class="column">([^<]+)', (pairs / "page.html").read_text()) == [
        "input",
        "photo",
        "target",
    ]


def test_several_candidates_stand_in_one_table(relume: Run, pairs: Path) -> None:
    table = pairs / "table.md"
    done = relume("evaluate", pairs, "--classical", "input,gamma", "--models", "lol", "-o", table)
    assert done.code == 0
    assert [line.split(" | ")[0] for line in table.read_text().splitlines()[2:]] == [
        "| input",
        "| gamma",
        "| lol",
    ]
    assert relume("evaluate", pairs, "--classical", "magic").code == ExitCode.USAGE


def test_images_that_cannot_be_scored_are_named_with_what_to_do(
    relume: Callable[..., Result], photo: Callable[..., Path], tmp_path: Path
) -> None:
    tiny, other, dark = photo("1.png", size=(2, 2)), photo("2.png", size=(4, 2)), photo("dark/3.png")
    for command in (
        ["evaluate", tiny],
        ["evaluate", tiny, tiny],
        ["compare", tiny, tiny, "-o", tmp_path / "page.html"],
        ["compare", tiny, other, "-o", tmp_path / "page.html"],
        ["evaluate", dark.parent, dark.parent, "--pred", tiny],
    ):
        result = relume(*command)
        assert (result.code, result.err.count("\n")) == (ExitCode.DATA, 1), result.err
        assert result.err.startswith(f"relume: {tiny}: ")
        assert result.err.count(". ") == 1
    assert relume("enhance", dark, "--max-pixels", 0).code == ExitCode.USAGE
