from __future__ import annotations

from pathlib import Path

import pytest

from relume.datasets.pairs import LIST, images_by_name, list_pairs, natural_key
from relume.errors import DataError, ExitCode
from relume.evaluate import Pair, find_pairs


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_pairs_by_name_in_natural_order(tmp_path: Path) -> None:
    low = folder(tmp_path / "low", "10.png", "2.jxl", "Ä1.png", "1.png")
    high = folder(tmp_path / "high", "2.png", "1.PNG", "10.tiff", "Ä1.webp")
    pairs = find_pairs(low, high)
    assert [pair.name for pair in pairs] == ["1", "2", "10", "Ä1"]
    assert pairs[1] == Pair("2", low / "2.jxl", high / "2.png")


def test_composed_and_decomposed_accents_are_one_name(tmp_path: Path) -> None:
    low, high = folder(tmp_path / "low", "e\u0301.png"), folder(tmp_path / "high", "\u00e9.png")
    assert [pair.name for pair in find_pairs(low, high)] == ["\u00e9"]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    low = folder(tmp_path / "low", "a.png", ".a.png", "readme.txt", "Thumbs.db")
    (low / "b.png").mkdir()
    assert len(find_pairs(low, folder(tmp_path / "high", "a.png"))) == 1


@pytest.mark.parametrize("lonely", ["low", "high"])
def test_a_file_without_partner_is_named(tmp_path: Path, lonely: str) -> None:
    folders = {side: folder(tmp_path / side, "a.png") for side in ("low", "high")}
    (folders[lonely] / "b.png").touch()
    with pytest.raises(DataError) as caught:
        find_pairs(folders["low"], folders["high"])
    assert caught.value.path == folders[lonely] / "b.png"
    assert caught.value.exit_code == ExitCode.DATA


def test_several_lonely_files_are_counted(tmp_path: Path) -> None:
    low, high = folder(tmp_path / "low", *(f"{n}.png" for n in range(5))), folder(tmp_path / "high", "0.png")
    with pytest.raises(DataError, match="3 others"):
        find_pairs(low, high)


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    low, high = folder(tmp_path / "low", "a.png", "a.jpg"), folder(tmp_path / "high", "a.png")
    with pytest.raises(DataError, match=r"a\.jpg has the same name"):
        find_pairs(low, high)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    low, high = folder(tmp_path / "low", "notes.txt"), folder(tmp_path / "high", "a.png")
    with pytest.raises(DataError, match="holds no image"):
        find_pairs(low, high)
    with pytest.raises(DataError, match="no such file"):
        find_pairs(tmp_path / "nowhere", high)
    with pytest.raises(DataError, match="No such file"):
        images_by_name(tmp_path / "nowhere")


def test_every_photo_that_can_be_read_is_found(tmp_path: Path) -> None:
    shots = folder(tmp_path / "shots", "1.NRW", "2.pef", "3.heic", "4.jxl", "notes.txt")
    assert list(images_by_name(shots)) == ["1", "2", "3", "4"]


def test_single_files_are_one_pair(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", "dark.png", "bright.png")
    pair = Pair("dark", images / "dark.png", images / "bright.png")
    assert find_pairs(pair.low, pair.high) == [pair]
    with pytest.raises(DataError, match="two folders or two files"):
        find_pairs(images, pair.high)


def test_natural_key_tells_equal_numbers_apart() -> None:
    assert sorted(["a01", "a1", "a10", "a9", "B2"], key=natural_key) == ["a01", "a1", "a9", "a10", "B2"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"scene,low,high\ns,1.png\n", "line 1 below the heading"),
        (b"scene,low,high\ns,1.png,2.png\ns,,2.png\n", "line 2 below the heading"),
        (b"scene,low,high\ns,\xff.png,2.png\n", "not a CSV file in UTF-8"),
        (b"low,high\n1.png," + b"2" * 200_000, "not a CSV file in UTF-8"),
        (b"scene,low,high\n", "lists no pairs"),
        (b"scene,low,high\ns,1.png,2.png\nt,1.jpg,2.png\n", "two pairs called '1'"),
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    folder(tmp_path / "frames", "1.png", "2.png")
    (tmp_path / LIST).write_bytes(content)
    with pytest.raises(DataError, match=complaint) as caught:
        list_pairs(tmp_path)
    assert caught.value.path == tmp_path / LIST


def test_names_in_a_list_are_composed(tmp_path: Path) -> None:
    folder(tmp_path / "frames", "e\u0301.png", "2.png")
    (tmp_path / LIST).write_text("scene,low,high\ns,e\u0301.png,2.png\n", encoding="utf-8")
    assert [pair.name for pair in list_pairs(tmp_path)] == ["\u00e9"]
