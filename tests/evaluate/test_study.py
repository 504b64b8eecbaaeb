"""A study: pictures that tell nothing, answers that become scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relume.errors import DataError, InputInvalid, OutputExists
from relume.evaluate.study.scores import score_study
from relume.evaluate.study.sheet import Study, make_study

METHODS = ("bright", "middling", "worst")


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    folder = tmp_path / "sheet"
    for method in (*METHODS, "input"):
        (folder / method).mkdir(parents=True)
        for photo in range(5):
            pixels = np.full((40, 60, 3), 20 * photo + 3 * len(method), np.uint8)
            Image.fromarray(pixels).save(folder / method / f"photo{photo}.png", comment=method)
    (folder / "bright" / "alone.png").write_bytes(b"no other method has it")
    return folder


@pytest.fixture
def made(sheet: Path, tmp_path: Path) -> Study:
    return make_study(sheet, tmp_path / "study", asked=9, checks=2)


def answers(key: Path, better: Callable[[str, str], str], seed: int = 0) -> dict[str, Any]:
    """What a visitor would save who sees everything, and the methods' names as well."""
    known = json.loads(key.read_text())
    told = json.loads((key.parent / "study" / "study.json").read_text())
    rng = np.random.default_rng(seed)
    found = []
    for pair, (one, two, *_) in told["pairs"].items():
        left, right = (one, two) if rng.integers(2) else (two, one)
        names = [known["pictures"][picture]["method"] for picture in (left, right)]
        found.append({"pair": pair, "left": left, "right": right, "better": better(*names)})
    return {"study": known["study"], "answers": found}


def by_rank(left: str, right: str) -> str:
    order = [*METHODS, "spoilt"]
    return "left" if order.index(left) < order.index(right) else "right"


def test_a_page_tells_nothing_of_the_methods(made: Study, tmp_path: Path) -> None:
    files = [tmp_path / "study" / "study.json", *(tmp_path / "study" / "pictures").iterdir()]
    assert not any(method.encode() in path.read_bytes() for path in files for method in (*METHODS, "spoilt"))
    told = json.loads((tmp_path / "study" / "study.json").read_text())
    assert (made.pairs, made.checks, len(told["pairs"])) == (15, 2, 17)
    assert told["asked"] == 11
    checks = json.loads(made.key.read_text())["checks"]
    assert set(checks) < set(told["always"])
    assert len(told["always"]) == 4
    pictures = {path.stem for path in (tmp_path / "study" / "pictures").iterdir()}
    assert {picture for pair in told["pairs"].values() for picture in pair} == pictures
    assert {len(pair) for pair in told["pairs"].values()} == {3}  # the dark photo stands with all


def test_scores_follow_the_answers(made: Study, tmp_path: Path) -> None:
    for name in ("anna", "ben"):
        (tmp_path / f"{name}.json").write_text(json.dumps(answers(made.key, by_rank, seed=len(name))))
    found = score_study(made.key, [tmp_path / "anna.json", tmp_path / "ben.json"])
    assert [each.method for each in found.scores] == list(METHODS)
    assert [each.won for each in found.scores] == [20, 10, 0]
    assert all(each.compared == 20 for each in found.scores)
    assert all(one.low > other.high for one, other in pairwise(found.scores))
    assert (found.raters, found.left_out) == (2, [])


def test_ties_are_half_a_win_each(made: Study, tmp_path: Path) -> None:
    said = answers(made.key, lambda *names: by_rank(*names) if "spoilt" in names else "neither")
    (tmp_path / "anna.json").write_text(json.dumps(said))
    found = score_study(made.key, [tmp_path / "anna.json"])
    assert all(abs(each.score) < 1e-6 and each.won == 0 and each.tied == 10 for each in found.scores)


def test_who_does_not_look_is_left_out(made: Study, tmp_path: Path) -> None:
    (tmp_path / "anna.json").write_text(json.dumps(answers(made.key, by_rank)))
    blind = answers(made.key, lambda *names: "left" if names[0] in ("spoilt", "worst") else "right")
    (tmp_path / "blind.json").write_text(json.dumps(blind))
    found = score_study(made.key, [tmp_path / "anna.json", tmp_path / "blind.json"])
    assert found.left_out == [str(tmp_path / "blind.json")]
    assert [each.method for each in found.scores] == list(METHODS)
    with pytest.raises(DataError, match="no answers count"):
        score_study(made.key, [tmp_path / "blind.json"])


@pytest.mark.parametrize("said", [[], {"study": "another"}, {"answers": []}])
def test_files_of_another_study_are_refused(made: Study, tmp_path: Path, said: Any) -> None:
    (tmp_path / "odd.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="not a file of answers"):
        score_study(made.key, [tmp_path / "odd.json"])


def test_damaged_answers_are_refused(made: Study, tmp_path: Path) -> None:
    said = answers(made.key, by_rank)
    said["answers"][0]["left"] = "nothing"
    said["answers"][1]["left"] = "nothing"
    said["answers"][2]["left"] = "nothing"
    (tmp_path / "odd.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="damaged"):
        score_study(made.key, [tmp_path / "odd.json"])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda each, _: each.update(better="both"), "side"),
        (lambda each, _: each.update(better=["left"]), "side"),
        (lambda each, _: each.update(left=each["right"]), "not compared"),
        (lambda each, others: each.update(left=others["photo"]), "not compared"),
        (lambda each, others: each.update(left=others["spoilt"]), "not compared"),
        (lambda each, _: each.update(pair=["a", "list"]), "damaged"),
        (lambda each, _: each.clear(), "damaged"),
    ],
)
def test_what_a_stranger_made_up_is_refused(
    made: Study, tmp_path: Path, change: Callable[[Any, Any], object], word: str
) -> None:
    said = answers(made.key, by_rank)
    known = json.loads(made.key.read_text())
    pictures = known["pictures"]
    each = next(each for each in said["answers"] if each["pair"] not in known["checks"])
    own = pictures[each["right"]]
    others = {
        "photo": next(name for name, one in pictures.items() if one["photo"] != own["photo"]),
        "spoilt": next(name for name, one in pictures.items() if one["method"] == "spoilt"),
    }
    change(each, others)
    (tmp_path / "odd.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=word):
        score_study(made.key, [tmp_path / "odd.json"])


def test_no_answer_counts_twice(made: Study, tmp_path: Path) -> None:
    said = answers(made.key, by_rank)
    for name in ("anna", "copied"):
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="given twice"):
        score_study(made.key, [tmp_path / "anna.json", tmp_path / "copied.json"])
    said["answers"] *= 3
    (tmp_path / "anna.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="answered twice"):
        score_study(made.key, [tmp_path / "anna.json"])


def test_checks_that_are_left_out_are_not_passed(made: Study, tmp_path: Path) -> None:
    said = answers(made.key, by_rank)
    checks = json.loads(made.key.read_text())["checks"]
    said["answers"] = [each for each in said["answers"] if each["pair"] not in checks]
    (tmp_path / "anna.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="no answers count"):
        score_study(made.key, [tmp_path / "anna.json"])


@pytest.mark.parametrize("text", ["[" * 100_000, '{"study": ' + "9" * 10_000 + "}", "\x00"])
def test_files_that_are_no_json_are_refused(made: Study, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(InputInvalid, match="not JSON"):
        score_study(made.key, [tmp_path / "odd.json"])


def test_a_study_that_fails_leaves_nothing(sheet: Path, tmp_path: Path) -> None:
    (sheet / "middling" / "photo3.png").write_bytes(b"no photo")
    with pytest.raises(InputInvalid):
        make_study(sheet, tmp_path / "study", asked=1, checks=0)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet"]
    (sheet / "middling" / "photo3.png").unlink()
    made = make_study(sheet, tmp_path / "study", asked=1, checks=0)
    assert made.left_out == ["alone.png", "photo3.png"]


def test_other_files_of_a_sheet_are_passed_over(
    relume: Callable[..., Any], sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sheet / ".git").mkdir()
    for folder in sheet.iterdir():
        for name in ("scores.csv", ".DS_Store", "<b>&amp;.png"):
            (folder / name).write_bytes((sheet / "input" / "photo0.png").read_bytes())
    out = tmp_path / "made"
    out.mkdir()
    monkeypatch.chdir(out)
    said = relume("study", sheet, "-o", ".").err
    assert "18 comparisons" in said
    assert "left out, as not every folder has them: 1 (alone.png)" in said
    assert sorted(path.name for path in out.iterdir()) == [
        *("index.html", "pictures", "study.css", "study.js", "study.json")
    ]
    assert (tmp_path / "made.key.json").is_file()


def test_sheets_need_two_methods_and_common_photos(sheet: Path, made: Study, tmp_path: Path) -> None:
    with pytest.raises(OutputExists):
        make_study(sheet, tmp_path / "study", asked=1, checks=0)
    for path in sheet.glob("middling/*"):
        path.rename(path.with_stem("other-" + path.stem))
    with pytest.raises(DataError, match="no photo is in all"):
        make_study(sheet, tmp_path / "new", asked=1, checks=0)
    with pytest.raises(DataError, match="two folders"):
        make_study(sheet / "bright", tmp_path / "new", asked=1, checks=0)
    assert not (tmp_path / "new").exists()


def test_the_command_makes_and_scores(relume: Callable[..., Any], sheet: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "study", tmp_path / "study.key.json"
    assert "15 comparisons and 4 checks" in relume("study", sheet, "-o", out).err
    (tmp_path / "anna.json").write_text(json.dumps(answers(key, by_rank)))
    result = relume("study", "--score", tmp_path / "anna.json", "--key", key, "-o", tmp_path / "scores.png")
    assert result.code == 0
    assert result.out.decode().splitlines()[1].startswith("bright")
    assert "1 rater" in result.out.decode()
    with Image.open(tmp_path / "scores.png") as drawn:
        assert drawn.width > 400
    as_json = relume("study", "--score", tmp_path / "anna.json", "--key", key, "--json")
    assert json.loads(as_json.out)["scores"][0]["method"] == "bright"
    assert relume("study", sheet).code == 2
    assert relume("study", "--score", tmp_path / "anna.json").code == 2
    assert relume("study", "--score", tmp_path / "anna.json", "--key", key, "-o", "scores.txt").code == 2
