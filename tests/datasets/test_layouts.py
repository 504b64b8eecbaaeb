"""Published sets, as small made-up folders of the same shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.datasets.layouts import LAYOUTS, find_layout, layout_pairs, pairs_in
from relume.datasets.overlap import refuse_overlap, set_at, shared_photos, trained_on
from relume.errors import DataError, ExitCode
from relume.photo import Photo, write_photo
from shared import Result

Run = Callable[..., Result]

SETS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "lol-v1/train": (("2", "our485/low/2.png", "our485/high/2.png"),),
    "lol-v1/test": (("1", "eval15/low/1.png", "eval15/high/1.png"),),
    "lol-v2-real/train": (
        ("00001", "Real_captured/Train/Low/low00001.png", "Real_captured/Train/Normal/normal00001.png"),
        ("00002", "Real_captured/Train/Low/low00002.png", "Real_captured/Train/Normal/normal00002.png"),
    ),
    "lol-v2-real/test": (
        ("00690", "Real_captured/Test/Low/low00690.png", "Real_captured/Test/Normal/normal00690.png"),
    ),
    "lol-v2-synthetic/train": (("r0a", "Synthetic/Train/Low/r0a.png", "Synthetic/Train/Normal/r0a.png"),),
    "lol-v2-synthetic/test": (("r0b", "Synthetic/Test/Low/r0b.png", "Synthetic/Test/Normal/r0b.png"),),
    "lsrw-huawei/train": (
        ("9", "Training data/Huawei/low/9.jpg", "Training data/Huawei/high/9.jpg"),
        ("10", "Training data/Huawei/low/10.jpg", "Training data/Huawei/high/10.jpg"),
    ),
    "lsrw-huawei/test": (("3", "Eval/Huawei/low/3.jpg", "Eval/Huawei/high/3.jpg"),),
    "lsrw-nikon/train": (("4", "Training data/Nikon/low/4.jpg", "Training data/Nikon/high/4.jpg"),),
    "lsrw-nikon/test": (("5", "Eval/Nikon/low/5.jpg", "Eval/Nikon/high/5.jpg"),),
    "sice/part1": (
        ("1_1", "Dataset_Part1/1/1.JPG", "Dataset_Part1/Label/1.JPG"),
        ("1_2", "Dataset_Part1/1/2.JPG", "Dataset_Part1/Label/1.JPG"),
        ("12_1", "Dataset_Part1/12/1.JPG", "Dataset_Part1/Label/12.png"),
    ),
    "sice/part2": (("7_1", "Dataset_Part2/7/1.JPG", "Dataset_Part2/Label/7.JPG"),),
    "fivek/train": (("a0001-x", "train/input/a0001-x.png", "train/target/a0001-x.png"),),
    "fivek/test": (("a4501-x", "test/input/a4501-x.png", "test/target/a4501-x.png"),),
    "fivek/expert-c": (("a0002-y", "input/a0002-y.png", "expertC/a0002-y.tif"),),
    "clean/all": (
        ("holiday_sea", "holiday/sea.png", "holiday/sea.png"),
        ("tree", "tree.jpg", "tree.jpg"),
    ),
}
"""Each part's pairs: name, dark image, target."""


def _make(folder: Path, files: Mapping[str, int]) -> None:
    for name, seed in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3)).repeat(8, 0).repeat(8, 1)
        write_photo(Photo(pixels.astype(np.uint8)), path)


def _unpacked(folder: Path, reference: str) -> Path:
    """The whole set that a part belongs to, every part of it, as its authors pack it."""
    name = reference.partition("/")[0]
    files = [file for part, rows in SETS.items() if part.startswith(name) for row in rows for file in row[1:]]
    _make(folder, {file: number for number, file in enumerate(dict.fromkeys(files))})
    return folder


@pytest.mark.parametrize("reference", SETS)
def test_the_pairs_of_each_part(tmp_path: Path, reference: str) -> None:
    folder = _unpacked(tmp_path / "set", reference)
    found = [
        (pair.name, pair.low.relative_to(folder).as_posix(), pair.high.relative_to(folder).as_posix())
        for pair in layout_pairs(folder, reference)
    ]
    assert found == list(SETS[reference])


def test_every_layout_is_tested() -> None:
    assert {reference.partition("/")[0] for reference in SETS} == set(LAYOUTS)


def test_files_that_are_no_images_of_the_set_are_passed_over(tmp_path: Path) -> None:
    folder = _unpacked(tmp_path, "lol-v2-real/test")
    low = folder / "Real_captured/Test/Low"
    (low / "Thumbs.db").write_bytes(b"x")
    _make(low, {"preview.png": 0, ".low00001.png": 1})
    assert [pair.name for pair in layout_pairs(folder, "lol-v2-real/test")] == ["00690"]


def test_a_dark_image_without_target_is_named(tmp_path: Path) -> None:
    folder = _unpacked(tmp_path, "sice/part1")
    (folder / "Dataset_Part1/Label/12.png").unlink()
    with pytest.raises(DataError, match="Label/12 is missing") as caught:
        layout_pairs(folder, "sice/part1")
    assert caught.value.path is not None
    assert str(caught.value.path).endswith("12/1.JPG")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("lol-v3/test", "no layout is called 'lol-v3'"),
        ("lol-v2-real", "several parts"),
        ("lol-v2-real/eval", "no part 'eval'"),
    ],
)
def test_unknown_layouts_are_refused_with_those_there_are(reference: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        find_layout(reference)
    assert "lol-v2-real" in caught.value.remedy


@pytest.mark.parametrize("reference", ["lol-v2-real/test", "sice/part2", "clean/all", "lsrw-nikon/test"])
def test_a_folder_of_another_shape_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(DataError) as caught:
        layout_pairs(tmp_path, reference)
    assert caught.value.path == tmp_path


def test_two_clean_photos_of_one_name_are_refused(tmp_path: Path) -> None:
    _make(tmp_path, {"a/b.png": 0, "a_b.png": 1})
    with pytest.raises(DataError, match="called 'a_b' too"):
        layout_pairs(tmp_path, "clean")


def test_a_recipe_names_layouts_and_folders_alike(tmp_path: Path) -> None:
    _unpacked(tmp_path / "lol_v2", "lol-v2-real/train")
    _make(tmp_path / "mine", {"low/a.png": 0, "high/a.png": 1})
    assert [pair.name for pair in pairs_in(tmp_path, "lol-v2-real/train")] == ["00001", "00002"]
    assert [pair.name for pair in pairs_in(tmp_path, "mine")] == ["a"]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("lol-v1/train", "lol-v1"),
        ("lol_v1/our485", "lol-v1"),
        ("/data/LOLdataset/eval15", "lol-v1"),
        ("/data/LOLdataset/eval15/low", "lol-v1"),
        ("/data/LOL-v2/Real_captured/Test/Low", "lol-v2-real"),
        ("/data/LOL-v2/Synthetic/Test/Low", None),
        ("sice_part1", None),
    ],
)
def test_sets_are_told_by_reference_and_by_folder(where: str, name: str | None) -> None:
    assert set_at(where) == name


@pytest.mark.parametrize(
    ("trained", "tested"),
    [
        ("lol_v1/our485", "lol-v2-real/test"),
        ("lol-v2-real/train", "lol-v1/test"),
        ("lol-v2-real/train", "x/eval15"),
    ],
)
def test_training_and_testing_on_the_same_photographs_is_refused(trained: str, tested: str) -> None:
    with pytest.raises(DataError, match="91 of the 100 test images of LOL-v2-real") as caught:
        refuse_overlap(["sice_part1", trained], tested, "mine")
    assert trained in caught.value.reason
    assert tested in caught.value.reason


@pytest.mark.parametrize("tested", ["lol-v1/test", "lol-v2-synthetic/test", "holiday"])
def test_other_sets_may_be_tested(tested: str) -> None:
    refuse_overlap(["lol_v1/our485", "sice_part1"], tested, "mine")


def test_what_a_recipe_was_trained_on() -> None:
    assert trained_on({"data": {"pairs": "lol_v1/our485"}}) == ["lol_v1/our485"]
    assert trained_on({"data": {"pairs": "x", "sources": [{"path": "a"}, {"path": "b"}]}}) == ["a", "b"]
    assert trained_on({}) == []


def test_photographs_of_two_sets_are_not_mixed() -> None:
    assert shared_photos(["lol_v1/our485", "sice_part1", "lol-v1/train"]) is None
    assert "91 of the 100" in (shared_photos(["sice_part1", "lol-v2-real/train", "lol_v1/our485"]) or "")


def test_evaluate_takes_a_layout(relume: Run, tmp_path: Path) -> None:
    folder = _unpacked(tmp_path, "lsrw-nikon/test")
    result = relume("evaluate", folder, "--layout", "lsrw-nikon/test", "--classical", "input", "--json")
    assert (result.code, result.err) == (0, "")
    assert [row["name"] for row in json.loads(result.out)["per_image"]] == ["5"]


def test_evaluate_refuses_a_model_that_knows_the_photographs(relume: Run, tmp_path: Path) -> None:
    folder = _unpacked(tmp_path, "lol-v2-real/test")
    result = relume("evaluate", folder, "--layout", "lol-v2-real/test", "--models", "lol")
    assert result.code == ExitCode.DATA
    assert "91 of the 100 test images" in result.err
    allowed = relume("evaluate", folder, "--layout", "lol-v2-real/test", "--classical", "gamma", "--json")
    assert allowed.code == 0


def test_two_folders_have_no_layout(relume: Run, tmp_path: Path) -> None:
    result = relume("evaluate", tmp_path, tmp_path, "--layout", "lol-v1/test")
    assert result.code == ExitCode.USAGE


def test_split_and_manifest_of_a_layout(relume: Run, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    random = {f"Dataset_Part1/{n}/{k}.JPG": 10 * n + k for n in range(1, 9) for k in (1, 2)}
    _make(folder, {**random, **{f"Dataset_Part1/Label/{n}.JPG": n for n in range(1, 9)}})
    made = relume("data", "split", folder, "--layout", "sice/part1", "--share", "0.6", "-q")
    assert made.code == 0, made.err
    split: dict[str, Any] = json.loads(made.out)
    assert split["images"] == 16
    held_out = set(split["validation"])
    assert held_out
    assert all({f"{name.split('_')[0]}_{k}" for k in (1, 2)} <= held_out for name in held_out)

    manifest = tmp_path / "sice.json"
    described = relume("data", "describe", folder, "--layout", "sice/part1", "-o", manifest, "-q")
    assert described.code == 0, described.err
    assert json.loads(manifest.read_text())["source"] == LAYOUTS["sice"].source
    assert relume("data", "verify", folder, "--manifest", manifest, "-q").code == 0
    (folder / "Dataset_Part1/3/1.JPG").unlink()
    assert relume("data", "verify", folder, "--manifest", manifest, "-q").code == ExitCode.DATA


def test_describe_without_layout_wants_name_and_terms(relume: Run, tmp_path: Path) -> None:
    _make(tmp_path, {"a.png": 0})
    assert relume("data", "describe", tmp_path, "--name", "mine").code == ExitCode.USAGE


def test_layouts_are_listed(relume: Run) -> None:
    result = relume("data", "layouts")
    assert result.code == 0
    listed = result.out.decode()
    assert all(f"{layout.name}/{part}" in listed for layout in LAYOUTS.values() for part in layout.parts)
