"""Mixed sources: shares, held-out scenes, exact resume, and old recipes as they were."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from relume.cli.data import app
from relume.colour import to_linear, to_srgb
from relume.datasets.pairs import list_pairs
from relume.datasets.splits import read_split
from relume.errors import DataError, UsageError
from relume.lab.darkness import NIGHT, SMOOTH, Darkness
from relume.lab.data.agreement import USABLE, agreement
from relume.lab.data.paired import PairedCrops, load_pairs, read_8_bits, training_and_validation
from relume.lab.data.samples import COLUMNS, sample_rows
from relume.lab.data.sources import SourcedPair
from relume.lab.recipe import Data, Phase, Recipe, Source, from_json, override, to_json
from relume.lab.recipes.photo import photo
from relume.lab.training.loop import train
from relume.photo import Photo, write_photo

LOL = ("lol_v1/our485", "our485_scenes")
SICE = ("sice_part1", "sice_scenes")
MIXED = Data(
    sources=(
        Source("lol", "pairs", LOL[0], 0.4, LOL[1], skip=("d",)),
        Source("sice", "pairs", SICE[0], 0.2, SICE[1]),
        Source("darkened", "darkened", LOL[0], 0.2, LOL[1]),
        Source("darkened", "darkened", SICE[0], 0.1, SICE[1]),
        Source("identity", "identity", SICE[0], 0.1, SICE[1]),
    )
)
PHASE = Phase(1, 32, 4)


@pytest.fixture(scope="module")
def mixed_root(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_root`, and a set with a list: a bright frame for every two dark ones, one scene held out."""
    root = tmp_path_factory.mktemp("mixed")
    shutil.copytree(tiny_root, root, dirs_exist_ok=True)
    held_out = read_split(SICE[1])[0]
    frames = root / SICE[0] / "frames"
    frames.mkdir(parents=True)
    random = np.random.default_rng(1)
    lines = ["scene,low,high"]
    for scene, lows in enumerate(([held_out], ["9001", "9002"], ["9003", "9004"])):
        coarse = random.random((6, 8, 3)).repeat(8, 0).repeat(8, 1)
        images = {f"{scene + 9100}": coarse, **dict.fromkeys(lows, coarse * 0.3)}
        for name, pixels in images.items():
            write_photo(Photo(np.rint(pixels * 255).astype(np.uint8)), frames / f"{name}.png")
        lines += [f"s{scene},{low}.png,{scene + 9100}.png" for low in lows]
    (root / SICE[0] / "pairs.csv").write_text("\n".join(lines) + "\n")
    return root


def crops(root: Path, data: Data, seed: int = 0) -> PairedCrops:
    return PairedCrops(load_pairs(training_and_validation(root, data)[0]), data, seed, 8)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Data(exposure_jitter=0.5), "5852f06889367bd8faedd2d3d67b0b0c09e4a2de38d080f2e870bab08ecf5c29"),
        (
            Data(colour_jitter=0.3, framing="resize", quarter_turns=False),
            "18a6147773a2d0a672191aa532c29647f30aed7240aa53821fac3bee69845c8d",
        ),
    ],
)
def test_a_recipe_gets_the_batches_it_always_got(tiny_root: Path, options: Data, expected: str) -> None:
    data, digest = crops(tiny_root, options, seed=3), hashlib.sha256()
    for index in range(4):
        batch = data.batch(index, Phase(1, 32, 3))
        for images in (batch.low_BCHW, batch.high_BCHW, batch.thumbnail_BCST):
            digest.update((images * 255).round().byte().numpy().tobytes())
        digest.update(",".join(batch.names).encode())
    assert digest.hexdigest() == expected


def test_an_old_recipe_file_means_what_it_meant() -> None:
    text = to_json(Recipe(name="old", phases=(PHASE,)))
    assert '"sources": []' in text
    assert from_json(text.replace('"sources": [],', "")) == from_json(text)


def test_lists_and_folders_are_both_sets_of_pairs(mixed_root: Path, tmp_path: Path) -> None:
    names = [pair.name for pair in list_pairs(mixed_root / SICE[0])]
    assert names == [read_split(SICE[1])[0], "9001", "9002", "9003", "9004"]
    assert len(list_pairs(mixed_root / LOL[0])) == 6
    (tmp_path / "pairs.csv").write_text("scene,low,high\ns1,1.jpg,2.jpg\n")
    with pytest.raises(DataError, match="not there"):
        list_pairs(tmp_path)
    (tmp_path / "pairs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="lists no pairs"):
        list_pairs(tmp_path)


def test_held_out_scenes_and_skipped_pairs_are_not_trained_on(mixed_root: Path) -> None:
    training, validation = training_and_validation(mixed_root, MIXED)
    high = {pair.high for pair in training}
    assert not high & {pair.high for pair in validation}
    assert all(isinstance(pair, SourcedPair) and not pair.held_out for pair in training)
    assert len({pair.name for pair in training}) == len(training) == 3 + 4 + 4 + 2 + 2
    assert len(validation) == 2 + 1 + 2 + 1 + 1
    everything, _ = training_and_validation(mixed_root, replace(MIXED, subset="all"))
    assert len(everything) == len(training) + len(validation)
    names = {pair.name for pair in training}
    data = crops(mixed_root, MIXED)
    assert {name for index in range(30) for name in data.batch(index, PHASE).names} == names


def test_shares_are_obeyed(mixed_root: Path) -> None:
    data = crops(mixed_root, MIXED)
    names = [name for index in range(60) for name in data.batch(index, Phase(1, 8, 16)).names]
    for source in MIXED.sources:
        label = f"{source.name}: {source.path}/"
        assert np.mean([name.startswith(label) for name in names]) == pytest.approx(source.share, abs=0.05)


def test_a_batch_depends_on_seed_and_number_alone(mixed_root: Path) -> None:
    first, again = crops(mixed_root, MIXED), crops(mixed_root, MIXED)
    again.batch(0, PHASE)
    one, other = first.batch(5, PHASE), again.batch(5, PHASE)
    assert one.names == other.names
    assert one.degradations == other.degradations
    for name in ("low_BCHW", "high_BCHW", "thumbnail_BCST", "window_B4"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_lists_of_fused_targets_and_of_single_photographs(mixed_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(mixed_root, root)
    for name, width in (("open/a", 96), ("open/b", 48), ("academic/c", 64)):
        path = root / "clean" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(np.full((48, width, 3), 128, np.uint8)), path)
    # As published the photographs are JPEG XL; unpacked they are PNG under the same names.
    lines = ["file,width,split", "open/a.jxl,96,train", "open/b.jxl,48,held_out", "academic/c.png,64,train"]
    (root / "clean" / "clean.csv").write_text("\n".join(lines))
    held_out = read_split(SICE[1])[0]
    fused = root / "more" / "fused"
    fused.mkdir(parents=True)
    shutil.copy(root / SICE[0] / "frames" / "9101.png", fused / "s1.png")
    lows = [f"s1,{SICE[0]}/frames,{low}.png,s1.png" for low in ("9001", held_out)]
    (root / "more" / "list.csv").write_text("\n".join(["scene,low_folder,low,fused", *lows]))
    clean = Source("clean", "darkened", "clean", 0.5, "", list_file="clean.csv", longest=64)
    sources = (clean, Source("fused", "pairs", "more", 0.5, SICE[1], list_file="list.csv"))
    training, validation = training_and_validation(root, Data(sources=sources))
    assert [pair.name for pair in training] == ["clean: clean/a", "clean: clean/c", "fused: more/9001"]
    assert [pair.name for pair in validation] == ["clean: clean/b", f"fused: more/{held_out}"]
    assert training[2].high == fused / "s1.png"
    assert [pair.low_HWC.shape for pair in load_pairs(training)] == [(32, 64, 3), (48, 64, 3), (48, 64, 3)]
    with pytest.raises(DataError, match="names single photographs"):
        training_and_validation(root, Data(sources=(replace(clean, kind="pairs"),)))
    (root / "clean" / "open" / "a.png").unlink()
    with pytest.raises(DataError, match=r"clean\.csv: the list names .*a\.jxl, which is not there"):
        training_and_validation(root, Data(sources=sources))


def test_each_kind_gets_what_it_is_for(mixed_root: Path) -> None:
    data = crops(mixed_root, replace(MIXED, exposure_jitter=0.5))
    for index in range(20):
        batch = data.batch(index, PHASE)
        for name, low, high, how in zip(
            batch.names, batch.low_BCHW, batch.high_BCHW, batch.degradations, strict=True
        ):
            assert (how is not None) == name.startswith("darkened")
            if name.startswith("identity"):
                assert torch.equal(low, high)
            else:
                assert low.mean() < high.mean()


def test_crop_and_thumbnail_are_darkened_where_they_lie(neutral: Darkness, tmp_path: Path) -> None:
    """Red and green of the clean photo tell the place; blue is even and shows the light, dark in corners."""
    height, width = 96, 128
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows + 100, columns + 100, np.full_like(rows, 250)], -1).astype(np.uint8)
    for side in ("low", "high"):
        (tmp_path / LOL[0] / side).mkdir(parents=True)
        for name in ("a", read_split(LOL[1])[0]):
            write_photo(Photo(pixels), tmp_path / LOL[0] / side / f"{name}.png")
    corners = replace(neutral, exposure=(0.5, 0.5), vignetting=1.0, vignette=(0.7, 0.7))
    source = Source("darkened", "darkened", LOL[0], 1.0, LOL[1], darkness=corners)
    data = crops(tmp_path, Data(sources=(source,), context=0.5, quarter_turns=False))
    for index in range(6):
        batch = data.batch(index, Phase(1, 32, 1))
        for image_CHW in (batch.low_BCHW[0], batch.thumbnail_BCST[0]):
            light = to_linear(image_CHW[2]) / to_linear(torch.tensor(250 / 255))
            row, column = to_srgb(to_linear(image_CHW[:2]) / light) * 255 - 100
            y, x = (row + 0.5) / height * 2 - 1, (column + 0.5) / width * 2 - 1
            expected = 0.5 * (1 - 0.7 * (x**2 + y**2) / 2)
            assert (light - expected).abs().mean() < 0.01


def test_images_of_a_pair_that_differ_in_size_are_named(tmp_path: Path) -> None:
    for side, width in (("low", 8), ("high", 9)):
        (tmp_path / side).mkdir()
        write_photo(Photo(np.zeros((8, width, 3), np.uint8)), tmp_path / side / "x.png")
    with pytest.raises(DataError, match=r"low/x\.png.*\(8, 8, 3\).*high/x\.png is \(8, 9, 3\)"):
        load_pairs(list_pairs(tmp_path))


def test_a_limit_shortens_both_sides(tiny_root: Path) -> None:
    training, validation = training_and_validation(tiny_root, Data(limit=1))
    assert [len(training), len(validation)] == [1, 1]


def test_dull_frames_are_left_out(mixed_root: Path) -> None:
    sources = tuple(replace(source, least_mean=0.9) for source in MIXED.sources[2:])
    pairs = training_and_validation(mixed_root, replace(MIXED, sources=(MIXED.sources[0], *sources)))[0]
    assert {pair.source.name for pair in load_pairs(pairs) if pair.source} == {"lol"}


def test_a_source_of_dull_frames_alone_is_named(
    mixed_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    for dull in (MIXED.sources[:1], MIXED.sources[2:3]):
        sources = (MIXED.sources[1], *(replace(source, least_mean=1.0) for source in dull))
        recipe = replace(tiny_recipe, data=Data(sources=sources))
        with pytest.raises(DataError, match=rf"our485.*'{dull[0].name}' has no frame to train on"):
            train(recipe, mixed_root, tmp_path / dull[0].name, device="cpu", quiet=True)
    with pytest.raises(DataError, match="no pair is left"):
        list(sample_rows(mixed_root, Data(sources=sources[1:]), count=2, seed=0, crop=16))


def test_a_source_that_skips_all_its_pairs_is_named(mixed_root: Path) -> None:
    names = tuple(pair.name for pair in list_pairs(mixed_root / LOL[0]))
    with pytest.raises(DataError, match=r"our485.*source 'lol' has nothing to train on"):
        training_and_validation(mixed_root, Data(sources=(replace(MIXED.sources[0], skip=names),)))


def test_held_out_frames_are_always_darkened_alike(mixed_root: Path) -> None:
    validation = training_and_validation(mixed_root, MIXED)[1]
    first, again = load_pairs(validation), load_pairs(validation)
    darkened = [pair for pair in first if pair.source and pair.source.name == "darkened"]
    assert all((one.low_HWC == other.low_HWC).all() for one, other in zip(first, again, strict=True))
    assert all(pair.low_HWC.mean() < pair.high_HWC.mean() for pair in darkened)
    assert len(darkened) == 3


def test_a_split_that_does_not_fit_is_named(mixed_root: Path) -> None:
    wrong = Data(sources=(replace(MIXED.sources[1], split="our485_scenes"),))
    with pytest.raises(DataError, match="nothing to validate on"):
        training_and_validation(mixed_root, wrong)


def test_sources_are_part_of_the_recipe() -> None:
    recipe = photo()
    assert from_json(to_json(recipe)) == recipe
    assert sum(source.share for source in recipe.data.sources) == pytest.approx(1)
    changed = override(recipe, ["data.sources.0.share=0.5", "data.sources.2.darkness.exposure.0=0.1"])
    assert changed.data.sources[0].share == 0.5
    assert changed.data.sources[2].darkness.exposure == (0.1, 0.5)
    with pytest.raises(UsageError):
        override(recipe, ["data.sources.0.share=0"])


def test_training_takes_mixed_sources(mixed_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    assert train(replace(tiny_recipe, data=MIXED), mixed_root, tmp_path, device="cpu", quiet=True).exists()


def test_a_sheet_names_what_was_drawn(mixed_root: Path) -> None:
    rows = list(sample_rows(mixed_root, MIXED, count=12, seed=1, crop=32))
    assert len(rows) == 12
    assert all(len(row.cells) == len(COLUMNS) for row in rows)
    assert all((" 1/" in row.name) == row.name.startswith("darkened") for row in rows)
    assert next(iter(sample_rows(mixed_root, Data(), count=3, seed=0, crop=16))).name in "abcd"


def test_the_command_draws_a_sheet(mixed_root: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.json", tmp_path / "sheet.png"
    recipe.write_text(to_json(Recipe(name="mine", phases=(PHASE,), data=MIXED)))
    options = ["--recipe", recipe, "--data", mixed_root, "-o", out, "--count", 3, "--crop", 32]
    result = CliRunner().invoke(app, ["samples", *map(str, options)])
    assert result.exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_agreement_tells_lost_and_moved_from_dark() -> None:
    random = np.random.default_rng(0)
    high = random.integers(0, 255, (24, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    dark = high // 6
    assert agreement(dark, high) > 0.9
    assert agreement(np.roll(dark, 5, 1), high) < USABLE
    assert agreement(np.maximum(dark, 38), high) < USABLE


PLACES = {
    "x1420": "x1411",
    "x0347": "x0339",
    "x0886": "s118",
    "x0640": "s091",
    "s101": "s091",
    "x0801": "s107",
}
"""Scenes of SICE that show the place of another one."""


def test_the_split_of_sice_keeps_scenes_and_places_whole() -> None:
    root = Path(os.environ.get("RELUME_DATA", "."))
    lists = [root / SICE[0] / "pairs.csv", *(root / "sice_extra").glob("pairs*.csv")]
    if len(lists) < 4 or not lists[0].is_file():
        pytest.skip("needs SICE under RELUME_DATA")
    scene_of: dict[str, str] = {}
    for file in lists:
        for row in csv.DictReader(file.read_text().splitlines()):
            name, place = Path(row["low"]).stem, PLACES.get(row["scene"], row["scene"])
            assert scene_of.setdefault(name, place) == place
    held_out = set(read_split(SICE[1]))
    assert held_out < set(scene_of)
    places = {scene_of[name] for name in held_out}
    assert not places & {scene_of[name] for name in set(scene_of) - held_out}
    new = {place for place in scene_of.values() if place.startswith("x")}
    drawn = {place for place in new if int(hashlib.sha1(place.encode()).hexdigest(), 16) % 100 < 13}  # noqa: S324
    assert {place for place in places if place.startswith("x")} == drawn == {"x1411", "x1909"}


@pytest.mark.slow
def test_skipped_pairs_of_sice_are_reproduced() -> None:
    root = os.environ.get("RELUME_DATA")
    if root is None or not (Path(root) / SICE[0]).is_dir():
        pytest.skip("needs SICE under RELUME_DATA")
    folder = Path(root) / SICE[0]
    unusable = [
        pair.name
        for pair in list_pairs(folder)
        if agreement(read_8_bits(pair.low), read_8_bits(pair.high)) < USABLE
    ]
    assert tuple(unusable) == photo().data.sources[1].skip


def test_pictures_made_by_formula_are_a_source(mixed_root: Path) -> None:
    data = Data(
        sources=(
            Source("nights", "nights", "", 0.5, "", darkness=NIGHT),
            Source("gradients", "gradients", "", 0.5, "", darkness=SMOOTH),
        ),
        limit=3,
    )
    training, validation = training_and_validation(mixed_root, data)
    assert len(training) == len(validation) == 6
    assert not {pair.low for pair in training} & {pair.low for pair in validation}
    loaded = load_pairs(validation)
    assert all(not np.array_equal(pair.low_HWC, pair.high_HWC) for pair in loaded)
    batches = PairedCrops(load_pairs(training), data, 0, 8)
    batch = batches.batch(0, Phase(1, 64, 16))
    assert torch.equal(batch.low_BCHW, batches.batch(0, Phase(1, 64, 16)).low_BCHW)
    for name, low, high in zip(batch.names, batch.low_BCHW, batch.high_BCHW, strict=True):
        if name.startswith("nights"):
            assert 0.7 * high.mean() - 0.005 < low.mean()
        else:
            assert low.mean() < 0.95 * high.mean()
    assert all(how is not None for how in batch.degradations)
    again = from_json(to_json(Recipe("made", phases=(PHASE,), data=data)))
    assert again.data == data
