from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from relume.datasets import leakage, manifest, splits
from relume.datasets.duplicates import SAME_SCENE, fingerprint, scenes, similarities, similarity_matrix
from relume.datasets.pairs import find_pairs, list_pairs
from relume.errors import DataError, InputInvalid, MissingExtra, OutputUnwritable, UsageError
from relume.lab.data import unpack as unpacking
from relume.lab.data.unpack import unpack
from relume.photo import Photo, write_photo

Pixels = npt.NDArray[np.uint8]
Relation = npt.NDArray[np.bool_]


def scene(seed: int, height: int = 120, width: int = 180) -> Pixels:
    """A room of sorts: overlapping boxes of random places, sizes and colours."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.uint8)
    for _ in range(25):
        top, left = random.integers(height - 10), random.integers(width - 10)
        rows, columns = random.integers(8, height // 2), random.integers(8, width // 2)
        image[top : top + rows, left : left + columns] = random.integers(20, 200, 3)
    return image


def another_photo(image: Pixels, rows: int = 12, columns: int = 20) -> Pixels:
    """The same scene with a moved camera, longer exposure and noise."""
    moved = np.roll(image, (rows, columns), (0, 1)) * 1.25 + 8
    noise = np.random.default_rng(5).normal(0, 8, image.shape)
    return np.clip(moved + noise, 0, 255).astype(np.uint8)


def save(path: Path, image: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jxl":
        pytest.importorskip("pillow_jxl")
        Image.fromarray(image).save(path, lossless=True)
    else:
        Image.fromarray(image).save(path)
    return path


def pairs_folder(folder: Path, names: list[str], suffix: str = ".png") -> Path:
    for seed, name in enumerate(names):
        save(folder / "low" / (name + suffix), scene(seed) // 10)
        save(folder / "high" / (name + suffix), scene(seed))
    return folder


# Pairs


def test_pairs_go_by_name_and_a_missing_partner_is_an_error(tmp_path: Path) -> None:
    folder = pairs_folder(tmp_path, ["10", "2"])
    assert [pair.name for pair in find_pairs(folder / "low", folder / "high")] == ["2", "10"]
    (folder / "high" / "2.png").unlink()
    with pytest.raises(DataError, match=r"low/2\.png: it has no partner"):
        find_pairs(folder / "low", folder / "high")


# Near-duplicates and scenes


def test_a_moved_brighter_noisy_photo_is_the_same_scene(tmp_path: Path) -> None:
    first = fingerprint(save(tmp_path / "a.png", scene(1)))
    again = fingerprint(save(tmp_path / "b.png", another_photo(scene(1))))
    assert similarities(first, again[None])[0] >= SAME_SCENE


def test_small_photos_of_a_scene_are_found_too(tmp_path: Path) -> None:
    """Smaller than the fingerprint in both directions."""
    small = scene(1)[::5, ::5]
    assert small.shape[0] < 32
    assert small.shape[1] < 48
    first = fingerprint(save(tmp_path / "a.png", small))
    again = fingerprint(save(tmp_path / "b.png", np.clip(small.astype(int) + 5, 0, 255).astype(np.uint8)))
    other = fingerprint(save(tmp_path / "c.png", scene(2)[::5, ::5]))
    alike, unlike = similarities(first, np.stack([again, other]))
    assert alike >= SAME_SCENE > unlike


def test_different_scenes_stay_apart(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{seed}.png", scene(seed)) for seed in range(8)]
    similar = similarity_matrix(paths)
    assert similar[~np.eye(8, dtype=bool)].max() < SAME_SCENE
    assert np.diag(similar) == pytest.approx(1, abs=1e-3)


def relation(size: int, *edges: tuple[int, int]) -> Relation:
    matrix = np.eye(size, dtype=bool)
    for one, other in edges:
        matrix[one, other] = matrix[other, one] = True
    return matrix


def test_scenes_are_connected_components() -> None:
    # 0-3-5 is a chain whose ends are not alike by themselves.
    assert scenes(relation(7, (0, 3), (3, 5), (1, 6))) == [[0, 3, 5], [1, 6], [2], [4]]
    assert scenes(relation(3)) == [[0], [1], [2]]


# Splits


def test_a_split_never_parts_a_scene(tmp_path: Path) -> None:
    for seed in range(10):
        for name, image in ((f"{2 * seed}", scene(seed)), (f"{2 * seed + 1}", another_photo(scene(seed)))):
            save(tmp_path / "low" / f"{name}.png", image // 10)
            save(tmp_path / "high" / f"{name}.png", image)
    split = splits.make_split(list_pairs(tmp_path), 0.4, seed=0)
    held_out = set(split["validation"])
    assert split["scenes"] == 10
    assert len(held_out) == 8
    assert all(str(int(name) ^ 1) in held_out for name in held_out)


def test_a_scene_larger_than_a_quarter_of_what_is_wanted_is_passed_over() -> None:
    groups = [list(range(10)), [10, 11], [12, 13], [14, 15], [16, 17]]
    for seed in range(10):
        held_out = splits._draw(groups, 16, seed)
        assert sorted(held_out) == list(range(10, 18))


@pytest.mark.slow
def test_the_committed_split_is_reproduced() -> None:
    root = os.environ.get("RELUME_DATA")
    folder = Path(root or ".") / "lol_v1" / "our485"
    if root is None or len(list(folder.glob("high/*"))) < 485:
        pytest.skip("needs all of LOL-v1 under RELUME_DATA")
    committed = resources.files("relume.datasets") / "splits" / "our485_scenes.json"
    assert splits.make_split(list_pairs(folder), 0.1, seed=0) == json.loads(committed.read_text())


# Manifests


@pytest.fixture
def described(tmp_path: Path) -> tuple[Path, manifest.Manifest]:
    folder = pairs_folder(tmp_path / "set", ["1", "2"])
    save(folder / "frames" / "3.jpg", scene(3))
    (folder / "pairs.csv").write_text("scene,low,high\n")
    (folder / ".DS_Store").touch()
    return folder, manifest.describe(folder, "mine", "my own")


def test_a_described_folder_is_intact(described: tuple[Path, manifest.Manifest]) -> None:
    folder, made = described
    assert list(made.files) == [
        "frames/3.jpg",
        "high/1.png",
        "high/2.png",
        "low/1.png",
        "low/2.png",
        "pairs.csv",
    ]
    findings = manifest.verify(folder, made)
    assert findings.intact
    assert findings.checked == 6


def test_a_manifest_survives_its_file(tmp_path: Path, described: tuple[Path, manifest.Manifest]) -> None:
    file = tmp_path / "mine.json"
    file.write_text(described[1].to_json())
    assert manifest.read_manifest(str(file)) == described[1]


def test_another_encoder_of_the_same_pixels_is_intact(described: tuple[Path, manifest.Manifest]) -> None:
    folder, made = described
    path = folder / "low" / "1.png"
    before = path.read_bytes()
    Image.open(path).copy().save(path, compress_level=0)
    assert path.read_bytes() != before
    assert manifest.verify(folder, made).intact


def test_all_differences_are_found(described: tuple[Path, manifest.Manifest]) -> None:
    folder, made = described
    pixels = np.array(Image.open(folder / "low" / "1.png"))
    pixels[5, 7, 1] ^= 1
    save(folder / "low" / "1.png", pixels)
    (folder / "high" / "1.png").write_bytes(b"no image")
    (folder / "high" / "2.png").unlink()
    frame = folder / "frames" / "3.jpg"
    frame.write_bytes(frame.read_bytes() + b"\0")
    (folder / "frames" / "4.jpg").touch()
    findings = manifest.verify(folder, made)
    assert not findings.intact
    assert findings.missing == ["high/2.png"]
    assert findings.changed == ["frames/3.jpg", "high/1.png", "low/1.png"]
    assert findings.unexpected == ["frames/4.jpg"]
    assert "3 changed (frames/3.jpg, ...)" in findings.summary(first=1)


@pytest.mark.parametrize("bits", [8, 16])
def test_copies_of_a_lossy_format_are_told_by_what_they_look_like(tmp_path: Path, bits: int) -> None:
    """Another decoder's level more or less is the same copy; another image, size or brightness is not."""
    path, level = tmp_path / "high" / "1.png", 257 if bits == 16 else 1
    pixels = np.clip(scene(1).astype(int), 3, 252)

    def write(changed: np.ndarray) -> None:
        path.parent.mkdir(exist_ok=True)
        write_photo(Photo((changed * level).astype(f"uint{bits}")), path)

    write(pixels)
    made = manifest.describe(tmp_path, "mine", "my own", near=["high"])
    assert made.files["high/1.png"].startswith("~")
    rng = np.random.default_rng(0)
    write(pixels + rng.integers(-1, 2, pixels.shape))
    assert manifest.verify(tmp_path, made).intact
    write(pixels + 1)
    assert manifest.verify(tmp_path, made).intact
    darker, part = pixels - 3, pixels.copy()
    part[: len(part) // 8] = 0
    for other in (darker, part, scene(2).astype(int), pixels[:, ::-1], pixels[:-1]):
        write(other)
        assert manifest.verify(tmp_path, made).changed == ["high/1.png"]


def test_only_one_folder_is_checked(described: tuple[Path, manifest.Manifest]) -> None:
    folder, made = described
    shutil.rmtree(folder / "high")
    assert manifest.verify(folder, made, only="low/").checked == 2
    assert manifest.verify(folder, made, only="low").intact
    with pytest.raises(DataError, match="no folder 'lo'"):
        manifest.verify(folder, made, only="lo")


def test_the_shape_counts_for_the_checksum(tmp_path: Path) -> None:
    wide = save(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    high = save(tmp_path / "b.png", np.zeros((6, 4, 3), np.uint8))
    assert manifest.pixel_checksum(wide) != manifest.pixel_checksum(high)


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lol_v1"):
        manifest.read_manifest("lol_v9")
    for text in ("", "[]", "{}"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError, match="not a manifest"):
            manifest.read_manifest(str(tmp_path / "x.json"))


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        manifest.describe(tmp_path / "none", "x", "")
    with pytest.raises(DataError, match="holds no file"):
        manifest.describe(tmp_path, "x", "")


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("lol_v1", {"eval15/low": 15, "eval15/high": 15, "our485/low": 485, "our485/high": 485}),
        ("sice_part1", {"frames": 329, "": 1}),
    ],
)
def test_committed_manifests_are_whole(name: str, folders: dict[str, int]) -> None:
    assert name in manifest.committed_sets()
    committed = manifest.read_manifest(name)
    assert committed.name == name
    assert committed.terms
    assert committed.source
    near = {path for path, value in committed.files.items() if value.startswith("~")}
    assert near == {path for path in committed.files if path.startswith("our485/high/")}
    assert all(len(value) == 64 for path, value in committed.files.items() if path not in near)
    assert folders == Counter(path.rpartition("/")[0] for path in committed.files)
    lows = [path for path in committed.files if "/low/" in path]
    assert all(path.replace("/low/", "/high/") in committed.files for path in lows)


# Unpacking


def test_jpeg_xl_becomes_png_of_the_same_pixels(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    pairs_folder(source / "eval15", ["1", "2"], ".jxl")
    (source / "pairs.csv").write_text("scene,low,high\n")
    done = unpack(source, target, workers=1)
    assert (done.written, done.existing, done.pairs) == (5, 0, 2)
    assert (np.array(Image.open(target / "eval15" / "high" / "2.png")) == scene(1)).all()
    assert (target / "pairs.csv").read_text() == "scene,low,high\n"


def test_unpacking_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, target = pairs_folder(tmp_path / "source", ["1", "2"], ".jxl"), tmp_path / "target"
    (target / "low").mkdir(parents=True)
    (target / "low" / "1.png").write_bytes(b"there already")
    seen: list[tuple[int, int]] = []
    done = unpack(source, target, workers=2, progress=lambda *step: seen.append(step))
    assert (done.written, done.existing) == (3, 1)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (target / "low" / "1.png").read_bytes() == b"there already"
    assert sorted(path.name for path in (target / "low").iterdir()) == ["1.png", "2.png"]


def test_only_the_named_folder_is_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("our485", "eval15"):
        pairs_folder(source / "lol_v1" / name, ["1"])
    (source / "eval15").mkdir()
    (source / "readme.txt").touch()
    assert unpack(source, tmp_path / "target", only="eval15").written == 2
    assert [path.name for path in (tmp_path / "target" / "lol_v1").iterdir()] == ["eval15"]
    with pytest.raises(DataError, match="no folder 'eval16'"):
        unpack(source, tmp_path / "target", only="eval16")


@pytest.mark.parametrize("lost", ["high/2.png", "high"])
def test_incomplete_pairs_are_refused_before_anything_is_written(tmp_path: Path, lost: str) -> None:
    source = pairs_folder(tmp_path / "source", ["1", "2"])
    path = source / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError):
        unpack(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_file_is_named_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    pytest.importorskip("pillow_jxl")
    source = pairs_folder(tmp_path / "source", ["1"])
    for side in ("low", "high"):
        (source / side / "2.jxl").write_bytes(b"\xff\x0a broken")
    with pytest.raises(InputInvalid, match=r"2\.jxl: the JPEG XL image is damaged"):
        unpack(source, tmp_path / "target", workers=workers)
    assert not list((tmp_path / "target").rglob("2.*"))


def test_two_sources_of_one_result_are_refused(tmp_path: Path) -> None:
    for name in ("1.jxl", "1.png"):
        save(tmp_path / "source" / name, scene(1))
    with pytest.raises(DataError, match="the same file"):
        unpack(tmp_path / "source", tmp_path / "target")


def test_the_target_may_not_lie_in_the_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        unpack(tmp_path, tmp_path / "target")


def test_a_target_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    save(tmp_path / "source" / "1.png", scene(1))
    (tmp_path / "target").touch()
    with pytest.raises(OutputUnwritable):
        unpack(tmp_path / "source", tmp_path / "target")


def test_without_the_decoder_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "find_spec", lambda _: None)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "1.jxl").touch()
    with pytest.raises(MissingExtra, match=r"pip install '\.\[lab\]'"):
        unpack(tmp_path / "source", tmp_path / "target")


# Leakage


def test_copies_and_other_photos_of_a_scene_leak(tmp_path: Path) -> None:
    copied = save(tmp_path / "a" / "1.png", scene(1))
    retaken = save(tmp_path / "a" / "2.png", scene(2))
    save(tmp_path / "a" / "3.png", scene(3))
    save(tmp_path / "b" / "5.png", scene(5))
    copy = save(tmp_path / "b" / "7.tiff", scene(1))
    again = save(tmp_path / "b" / "8.png", another_photo(scene(2)))
    found = leakage.find_leakage(
        leakage.images_of(tmp_path / "a"), leakage.images_of(tmp_path / "b"), progress=lambda *_: None
    )
    assert [(match.first, match.second, match.identical) for match in found.matches] == [
        (copied, copy, True),
        (retaken, again, False),
    ]
    assert (found.images, found.affected, found.identical) == ((3, 3), (2, 2), 1)
    assert found.highest == pytest.approx(1, abs=1e-3)
    assert found.to_json()["matches"][0]["identical"]


def test_flat_images_leak_by_their_pixels_alone(tmp_path: Path) -> None:
    grey = np.full((40, 60, 3), 90, np.uint8)
    paths = [save(tmp_path / f"{name}.png", image) for name, image in zip("ab", (grey, grey), strict=True)]
    found = leakage.find_leakage(paths[:1], paths[1:])
    assert found.identical == 1


def test_sides_of_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pairs_folder(tmp_path, ["1", "2", "10"])
    monkeypatch.setattr(leakage, "read_split", lambda _: ["2"])
    held_out, training = leakage.sides_of_split(folder, "any")
    assert [path.stem for path in held_out] == ["2"]
    assert [path.stem for path in training] == ["1", "10"]
    listed = tmp_path / "listed"
    (listed / "frames").mkdir(parents=True)
    for name in ("1", "2", "3", "bright"):
        save(listed / "frames" / f"{name}.png", scene(0))
    rows = "".join(f"s,{name}.png,bright.png\n" for name in ("1", "2", "3"))
    (listed / "pairs.csv").write_text("scene,low,high\n" + rows)
    assert [[path.stem for path in side] for side in leakage.sides_of_split(listed, "any")] == [
        ["bright"]
    ] * 2
    monkeypatch.setattr(leakage, "read_split", lambda _: ["2", "99"])
    with pytest.raises(DataError, match="the first is 99"):
        leakage.sides_of_split(folder, "any")


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        leakage.images_of(tmp_path / "none")
    with pytest.raises(DataError, match="no image"):
        leakage.images_of(tmp_path)
