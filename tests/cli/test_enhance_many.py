"""`relume enhance` with folders and patterns: what is found, where results go, and what is reported."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from relume.errors import ExitCode
from relume.jobs import batch
from relume.photo import read_photo
from shared import Result, digest

Run = Callable[..., Result]
Make = Callable[..., Path]


def below(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(photo: Make, tmp_path: Path) -> Path:
    """Three photos in three depths, and files that are none."""
    for seed, name in enumerate(("in/a.jpg", "in/sub/b.PNG", "in/sub/deep/a.jpg")):
        photo(name, seed=seed)
    photo("in/a.relume.jpg")
    photo("in/.hidden.jpg")
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    return tmp_path / "in"


def test_a_folder_gives_its_photos(relume: Run, folder: Path, tmp_path: Path) -> None:
    assert relume("enhance", folder, "-o", tmp_path / "out").code == 0
    assert below(tmp_path / "out") == ["a.jpg"]


def test_a_folder_is_mirrored(relume: Run, folder: Path, tmp_path: Path) -> None:
    before = {path: digest(folder / path) for path in below(folder)}
    assert relume("enhance", folder, "-o", tmp_path / "out", "--recursive").code == 0
    assert below(tmp_path / "out") == ["a.jpg", "sub/b.PNG", "sub/deep/a.jpg"]
    assert {path: digest(folder / path) for path in below(folder)} == before


def test_a_folder_without_output_gets_results_beside(relume: Run, folder: Path) -> None:
    for _ in range(2):  # results are no inputs of the next run
        assert relume("enhance", folder, "-r").code == 0
        results = [name for name in below(folder) if ".relume" in name]
        assert results == ["a.relume.jpg", "sub/b.relume.PNG", "sub/deep/a.relume.jpg"]


def test_results_inside_the_folder_are_no_inputs(relume: Run, folder: Path) -> None:
    for _ in range(2):
        result = relume("enhance", folder, "-r", "-o", folder / "sub" / "out", "--json")
        assert len(result.lines) == 3
    assert below(folder / "sub" / "out") == ["a.jpg", "sub/b.PNG", "sub/deep/a.jpg"]


def test_output_may_lie_above_the_folder(relume: Run, folder: Path, tmp_path: Path) -> None:
    assert relume("enhance", folder / "sub", "-r", "-o", tmp_path).code == 0
    assert (tmp_path / "b.PNG").exists()
    assert (tmp_path / "deep" / "a.jpg").exists()


def test_patterns(relume: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert relume("enhance", folder / "*" / "*.PNG", "-o", tmp_path / "one").code == 0
    assert below(tmp_path / "one") == ["b.PNG"]
    monkeypatch.chdir(folder)
    assert relume("enhance", "**/[ab].*", "-o", tmp_path / "two").code == 0
    assert below(tmp_path / "two") == ["a.jpg", "sub/b.PNG", "sub/deep/a.jpg"]
    assert relume("enhance", "sub/**/?.*", "-o", tmp_path / "three").code == 0
    assert below(tmp_path / "three") == ["b.PNG", "deep/a.jpg"]


def test_a_name_that_looks_like_a_pattern_is_a_name(relume: Run, photo: Make, tmp_path: Path) -> None:
    assert relume("enhance", photo("night[1]*.jpg")).code == 0
    assert (tmp_path / "night[1]*.relume.jpg").exists()


def test_a_photo_named_twice_is_enhanced_once(relume: Run, folder: Path, tmp_path: Path) -> None:
    result = relume("enhance", folder / "a.jpg", folder, folder / "a.*g", "-o", tmp_path / "out", "--json")
    assert [Path(line["input"]).name for line in result.lines] == ["a.jpg"]


@pytest.mark.parametrize("options", [[], ["--skip-existing"], ["-o", "out"], ["--format", "png"]])
@pytest.mark.parametrize("pattern", [True, False])
def test_results_beside_their_photos_are_no_inputs(
    relume: Run,
    photo: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: bool,
    options: list[str],
) -> None:
    photo("a.jpg")
    photo("b.c.jpg")
    monkeypatch.chdir(tmp_path)
    assert relume("enhance", "*.jpg").code == 0
    paths = ["*.jpg"] if pattern else sorted(path.name for path in tmp_path.glob("*.jpg"))
    result = relume("enhance", *paths, *options, "--json")
    assert result.code == 0
    assert [line["input"] for line in result.lines] == ["a.jpg", "b.c.jpg"]
    assert ("a.relume.jpg and 1 more left out" in result.err) == (not pattern)
    assert not list(tmp_path.rglob("*.relume.relume.*"))
    assert "left out" not in relume("enhance", *paths, *options, "-q").err


def test_a_photo_named_by_other_ways_is_enhanced_once(
    relume: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "way").symlink_to(folder)
    (tmp_path / "in" / "link.jpg").symlink_to("a.jpg")
    monkeypatch.chdir(folder)
    ways = (
        "a.jpg",
        "./a.jpg",
        "sub/../a.jpg",
        folder / "a.jpg",
        tmp_path / "way",
        "link.jpg",
        "../way/*.jpg",
    )
    result = relume("enhance", *ways, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    assert [line["input"] for line in result.lines] == ["a.jpg", str(tmp_path / "way" / "link.jpg")]


def test_a_file_takes_no_second_photo_even_if_it_is_a_result(
    relume: Run, photo: Make, tmp_path: Path
) -> None:
    paths = photo("a.jpg"), photo("a.relume.jpg")
    refused = relume("enhance", *paths, "-o", tmp_path / "one.jpg")
    assert refused.code == ExitCode.USAGE
    assert refused.err.count("\n") == 1
    assert "this is a file's name" in refused.err
    assert not (tmp_path / "one.jpg").exists()


def test_a_result_alone_is_a_photo(relume: Run, photo: Make, tmp_path: Path) -> None:
    paths = photo("a.relume.jpg"), photo("b.jpg")
    assert relume("enhance", *paths).code == 0
    assert (tmp_path / "a.relume.relume.jpg").exists()
    assert relume("enhance", tmp_path / "*.relume.jpg").code == ExitCode.INPUT_UNREADABLE


def test_in_place_is_no_advice_where_another_photo_would_be_lost(
    relume: Run, photo: Make, tmp_path: Path
) -> None:
    path, link = photo("a.jpg"), tmp_path / "link.jpg"
    link.symlink_to(photo("a.relume.jpg"))
    before = digest(link)
    result = relume("enhance", path, link)
    assert result.code == ExitCode.OUTPUT_EXISTS
    assert "--in-place" not in result.err
    assert digest(link) == before


@pytest.mark.parametrize("arguments", [[""], ["a.jpg", ""], ["a.jpg", "-o", ""]])
def test_an_empty_name_is_not_the_current_folder(
    relume: Run, photo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    path = photo("a.jpg")
    monkeypatch.chdir(tmp_path)
    result = relume("enhance", *arguments)
    assert result.code == ExitCode.USAGE
    assert "empty" in result.err
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_of_several_lines_is_told_in_one(relume: Run, photo: Make) -> None:
    path = photo("two\nlines\x1b[31m\u202e.jpg")
    result = relume("enhance", path)
    assert result.code == 0
    assert result.err.count("\n") == 1
    assert "two\\nlines\\x1b[31m\\u202e.jpg" in result.err


@pytest.mark.parametrize("name", ["*.xyz", "empty", "missing.jpg", "x" * 300 + ".jpg", "x" * 300 + "*.jpg"])
def test_nothing_found(relume: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    result = relume("enhance", tmp_path / name, "--skip-existing")
    assert result.code == ExitCode.INPUT_UNREADABLE
    assert str(tmp_path / name) in result.err
    assert result.err.count("\n") == 1


def test_a_folder_that_may_not_be_read(relume: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    result = relume("enhance", folder)
    assert result.code == ExitCode.INPUT_UNREADABLE
    assert result.err.count("\n") == 1
    assert "permissions" in result.err


def test_a_folder_of_the_folder_that_may_not_be_read(
    relume: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refused(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    result = relume("enhance", folder, "-r", "-o", tmp_path / "out", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert [line["status"] for line in result.lines] == ["failed", "ok", "ok"]
    assert result.lines[0]["input"] == str(folder / "sub" / "deep")
    assert result.lines[0]["error"]["code"] == ExitCode.INPUT_UNREADABLE
    assert below(tmp_path / "out") == ["a.jpg", "sub/b.PNG"]
    assert relume("enhance", folder / "sub" / "deep", "-r").code == ExitCode.INPUT_UNREADABLE


def test_hidden_folders_are_passed_over(relume: Run, photo: Make, tmp_path: Path) -> None:
    photo(".in/a.jpg")
    for name in (".in/.thumbnails/b.jpg", ".in/c/.d/e/f.jpg"):
        photo(name)
    result = relume("enhance", tmp_path / ".in", "-r", "-o", tmp_path / "out", "--json")
    assert [line["input"] for line in result.lines] == [str(tmp_path / ".in" / "a.jpg")]


@pytest.mark.parametrize("name", ["*.xyz", "empty", "missing.jpg"])
def test_what_is_not_found_does_not_stop_the_rest(
    relume: Run, photo: Make, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    result = relume("enhance", tmp_path / name, photo("a.jpg"), "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert [line["status"] for line in result.lines] == ["failed", "ok"]
    assert result.lines[0]["input"] == str(tmp_path / name)
    assert result.lines[0]["error"]["code"] == ExitCode.INPUT_UNREADABLE
    assert str(tmp_path / name) in result.err
    assert (tmp_path / "a.relume.jpg").exists()


# Refusals, before anything is written


@pytest.mark.parametrize(
    "arguments",
    [
        ["in", "-o", "in"],
        ["in", "-o", "in/../in", "-r"],
        ["in/sub/b.PNG", "x/b.PNG", "-o", "x"],
        ["in/a.jpg", "in/sub/deep/a.jpg", "-o", "out"],
        ["in/a.jpg", "x/a.png", "-o", "out", "--format", "png"],
        ["x/a.jpg", "x/a.png", "--format", "png"],
    ],
)
def test_clashing_targets_are_refused_before_anything_is_written(
    relume: Run,
    folder: Path,
    photo: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    for name in ("x/a.jpg", "x/a.png", "x/b.PNG"):
        photo(name)
    before = {path: digest(tmp_path / path) for path in below(tmp_path)}
    monkeypatch.chdir(tmp_path)
    result = relume("enhance", *arguments)
    assert result.code == ExitCode.OUTPUT_EXISTS
    assert result.err.count("\n") == 1
    assert {path: digest(tmp_path / path) for path in below(tmp_path)} == before
    assert not (tmp_path / "out").exists()


def test_a_file_where_a_folder_is_needed(relume: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    result = relume("enhance", folder, "-r", "-o", tmp_path / "out")
    assert result.code == ExitCode.OUTPUT_UNWRITABLE
    assert result.err.count("\n") == 1
    result = relume("enhance", folder / "a.jpg", "-o", tmp_path / "out" / "deeper")
    assert result.code == ExitCode.OUTPUT_UNWRITABLE
    assert (tmp_path / "out").read_text() == "here first"


# What is done and reported


def test_skip_existing_leaves_results_alone(relume: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_text("done before")
    result = relume("enhance", folder, "-r", "-o", out, "--skip-existing", "--json")
    assert result.code == 0
    assert [line["status"] for line in result.lines] == ["skipped", "ok", "ok"]
    assert (out / "a.jpg").read_text() == "done before"
    assert read_photo(out / "sub" / "b.PNG").format == "png"
    assert relume("enhance", folder, "-r", "-o", out).code == 0
    assert read_photo(out / "a.jpg").format == "jpeg"


def test_a_folder_is_no_finished_result(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("a.jpg")
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    result = relume("enhance", path, "-o", tmp_path / "out", "--skip-existing")
    assert result.code == ExitCode.OUTPUT_UNWRITABLE
    assert "folder" in result.err


def test_in_place_replaces_each_photo(relume: Run, folder: Path) -> None:
    names, before = below(folder), digest(folder / "sub" / "b.PNG")
    assert relume("enhance", folder, "-r", "--in-place").code == 0
    assert below(folder) == names
    assert digest(folder / "sub" / "b.PNG") != before


def test_json_has_one_line_a_photo(relume: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_text("no photo")
    result = relume("enhance", folder, "-o", tmp_path / "out", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    good, bad = result.lines
    assert set(good) == {"input", "output", "status", "seconds", "width", "height", "bits", "notes"}
    assert (good["input"], good["output"]) == (str(folder / "a.jpg"), str(tmp_path / "out" / "a.jpg"))
    assert (good["status"], good["width"], good["height"], good["bits"]) == ("ok", 32, 24, 8)
    assert set(bad) == {"input", "output", "status", "seconds", "error"}
    assert (bad["status"], bad["output"]) == ("failed", None)
    assert set(bad["error"]) == {"code", "kind", "message"}
    assert (bad["error"]["code"], bad["error"]["kind"]) == (ExitCode.INPUT_INVALID, "InputInvalid")
    assert bad["error"]["message"] in result.err


def test_messages_are_on_stderr_only(relume: Run, folder: Path, tmp_path: Path) -> None:
    result = relume("enhance", folder, "-r", "-o", tmp_path / "out")
    assert result.out == b""
    *lines, summary = result.err.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"3 done, 0 left alone, 0 failed, 0 skipped; \d+\.\d s", summary)


def test_quiet_reports_errors_only(relume: Run, folder: Path, tmp_path: Path) -> None:
    assert relume("enhance", folder, "-o", tmp_path / "out", "-q").err == ""
    (folder / "broken.jpg").write_text("no photo")
    result = relume("enhance", folder, "-o", tmp_path / "out", "-q")
    assert result.err.count("\n") == 1
    assert "broken.jpg" in result.err


def test_names_that_are_no_text(relume: Run, photo: Make, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 [bold] \xf0\x9f\x8c\x99.jpg")
    photo("a.jpg").rename(odd)
    result = relume("enhance", odd, "--json")
    assert result.code == 0
    assert Path(json.loads(result.out)["output"]).exists()


def test_memory_that_runs_out_fails_one_photo(
    relume: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("relume.enhancer.Enhancer", lambda *_, **__: type("", (), {"decide": fails})())
    result = relume("enhance", folder, "-r", "-o", tmp_path / "out", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert {line["error"]["kind"] for line in result.lines} == {"InputTooLarge"}
    assert "a.jpg" in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["reading", "enhancing", "writing"])
def test_an_unknown_fault_is_one_failed_photo(
    relume: Run, photo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whatever a library raises at one photo, the rest is done; where it arose is told if asked."""
    paths = [
        photo(f"{name}.png", size=size) for name, size in (("a", (24, 32)), ("b", (9, 9)), ("c", (24, 32)))
    ]
    target = {"reading": "read_photo", "enhancing": "Result", "writing": "write_photo"}[where]
    original = getattr(batch, target)

    def fails(first: object, *rest: object, **options: object) -> object:
        if where == "reading":
            odd = Path(str(first)).name == "b.png"
        else:
            odd = getattr(first, "rgb_HWC").shape[0] == 9  # noqa: B009
        if odd:
            raise KeyError("a library's own fault\nin two lines")
        return original(first, *rest, **options)

    monkeypatch.setattr(batch, target, fails)
    monkeypatch.delenv("RELUME_DEBUG", raising=False)
    result = relume("enhance", *paths, "-o", tmp_path / "out", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert [line["status"] for line in result.lines] == ["ok", "failed", "ok"]
    assert result.lines[1]["error"]["code"] == ExitCode.FAULT
    assert "b.png: relume failed (KeyError" in result.err
    assert "Traceback" not in result.err
    assert below(tmp_path / "out") == ["a.png", "c.png"]
    alone = relume("enhance", paths[1], "-o", tmp_path / "out")
    assert (alone.code, alone.err.count("\n")) == (ExitCode.FAULT, 1)
    monkeypatch.setenv("RELUME_DEBUG", "")
    assert "Traceback" in relume("enhance", paths[1], "-o", tmp_path / "out", "--verbose").err
    monkeypatch.setenv("RELUME_DEBUG", "1")
    assert "Traceback" in relume("enhance", paths[1], "-o", tmp_path / "out").err


def test_a_fault_of_the_whole_command_is_one_line(relume: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("relume.models.load_card", fails)
    monkeypatch.delenv("RELUME_DEBUG", raising=False)
    result = relume("models", "lol")
    assert (result.code, result.err.count("\n")) == (ExitCode.INTERNAL, 1)
    assert "ZeroDivisionError: odd" in result.err
    monkeypatch.setenv("RELUME_DEBUG", "1")
    assert "Traceback" in relume("models", "lol").err


def test_images_that_relume_cannot_read_are_named_at_the_end(
    relume: Run, photo: Make, tmp_path: Path
) -> None:
    photo("in/a.jpg")
    names = [f"{number}.jp2" for number in range(7)]
    for name in (*names, "deep/8.jp2", ".hidden.jp2", "notes.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not for relume")
    result = relume("enhance", tmp_path / "in", "-o", tmp_path / "out")
    assert result.code == 0
    assert result.err.splitlines()[-1].startswith("7 image(s) of formats that relume does not read: ")
    assert "4.jp2, ..." in result.err
    assert relume("enhance", tmp_path / "in", "-r", "-o", tmp_path / "out").err.count("8 image(s)") == 1
    assert relume("enhance", tmp_path / "in", "-o", tmp_path / "out", "-q").err == ""


def test_the_summary_counts_each_kind(relume: Run, photo: Make, tmp_path: Path) -> None:
    dark, light, there, broken = (photo(f"in/{name}.png") for name in ("dark", "light", "there", "broken"))
    Image.new("RGB", (32, 24), (200, 200, 200)).save(light)
    broken.write_bytes(b"")
    photo("out/there.png")
    result = relume("enhance", dark.parent, "-o", tmp_path / "out", "--skip-existing")
    assert result.err.splitlines()[-1].startswith("1 done, 1 left alone, 1 failed, 1 skipped; ")
    assert "left alone" not in relume("enhance", there).err
