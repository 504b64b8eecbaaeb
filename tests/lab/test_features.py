"""Pictures of what student and teacher see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from relume.errors import ModelError
from relume.lab.features import COLUMNS, IMAGES, feature_rows, load_mirror, map_statistics
from relume.lab.methods.mirror import Mirror
from relume.lab.networks import build
from relume.lab.recipe import Phase, Recipe
from relume.lab.training.loop import train
from shared import Result

NARROW = {"widths": [8, 16, 16, 24, 24], "head": 8}
LOSSES = {"mse": 1.0, "mirror": 0.8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_recipe: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("mirror") / "run"
    recipe = replace(
        tiny_recipe,
        network="iaml-autoencoder",
        network_options=NARROW,
        method="mirror",
        method_options={"projections": [4, 6, 8, 10]},
        losses=LOSSES,
        phases=(Phase(2, 32, 2),),
    )
    train(recipe, tiny_root, folder, device="cpu", quiet=True)
    return folder


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_row_a_scale_in_pictures_of_the_images_size(run: Path) -> None:
    image = noise(70, 100)
    rows = feature_rows(load_mirror(run), "scene", image // 5, image)
    assert [row.name.split(":")[1].split(",")[0].strip() for row in rows] == [
        "3 x 2 cells",
        "6 x 4 cells",
        "12 x 8 cells",
        "24 x 16 cells",
    ]
    for row in rows:
        assert len(row.cells) == len(COLUMNS)
        assert {cell.pixels.shape for cell in row.cells if cell} == {(64, 96, 3)}


def test_what_is_alike_has_one_colour_and_no_difference() -> None:
    torch.manual_seed(0)
    method = Mirror(build("iaml-autoencoder", NARROW), LOSSES, projections=(4, 6, 8, 10)).eval()
    image = noise(64, 64)
    for row in feature_rows(method, "same", image, image):
        _, student, teacher, difference = (cell.pixels for cell in row.cells if cell)
        np.testing.assert_array_equal(student, teacher)
        assert difference.max() == 0
        assert student.std() > 10


def scene(seed: int, height: int, width: int) -> np.ndarray:
    """Squares of random colours: unlike noise, a scene that every level sees."""
    coarse = np.random.default_rng(seed).integers(
        0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8
    )
    return coarse.repeat(32, 0).repeat(32, 1)[:height, :width]


def test_shares_are_large_where_maps_follow_the_image_and_zero_where_they_ignore_it() -> None:
    torch.manual_seed(0)
    method = Mirror(build("iaml-autoencoder", NARROW), LOSSES, projections=(4, 6, 8, 10)).eval()
    images = [scene(0, 64, 96), scene(1, 70, 64)]
    for projection in method.projections:
        torch.nn.init.zeros_(projection.bias)
    pairs = [(image // 8, image) for image in images]
    statistics = map_statistics(method, pairs)
    assert [one.cells for one in statistics] == [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32)]
    assert all(0.02 < one.raw_share < 1 for one in statistics)
    assert all(0.02 < one.share < 1 for one in statistics[:4])
    assert statistics[4].share is None  # not aligned
    for one in map_statistics(method, [pairs[0], pairs[0]]):
        assert (one.raw_share, one.share or 0) == pytest.approx((0, 0), abs=1e-9)
        assert one.own == pytest.approx(one.other)
    for projection in method.projections:
        torch.nn.init.normal_(projection.bias, std=1e3)
    blind = map_statistics(method, pairs)
    assert [one.share for one in blind[:4]] == pytest.approx([0] * 4, abs=1e-6)
    assert [one.raw_share for one in blind] == [one.raw_share for one in statistics]


def test_statistics_by_hand() -> None:
    torch.manual_seed(0)
    method = Mirror(build("iaml-autoencoder", NARROW), LOSSES, projections=(4, 6, 8, 10)).eval()
    pairs = [(scene(seed, 64, 64) // 8, scene(seed, 64, 64)) for seed in range(3)]
    dark, clean = ([], [])
    for low, high in pairs:
        images = torch.from_numpy(np.stack([low, high])).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            levels = method.network.encode(images)
            dark.append(method.network.decode(levels)[1][0].numpy().ravel())
            clean.append(method.teacher.decode(levels)[1][1].numpy().ravel())
    table = np.corrcoef(np.stack(dark), np.stack(clean))[:3, 3:]
    statistics = map_statistics(method, pairs)[1]
    assert statistics.own == pytest.approx(np.diag(table).mean(), rel=1e-3)
    assert statistics.other == pytest.approx(table[~np.eye(3, dtype=bool)].mean(), rel=1e-3)
    share = np.stack(dark).var(0).mean() / (np.stack(dark) ** 2).mean()
    assert statistics.raw_share == pytest.approx(share, rel=1e-3)


def test_no_more_images_than_fit_into_memory_are_looked_at() -> None:
    torch.manual_seed(0)
    method = Mirror(build("iaml-autoencoder", NARROW), LOSSES, projections=(4, 6, 8, 10)).eval()
    image = scene(0, 32, 32)
    assert map_statistics(method, [(image, image)] * 40)[0].images == IMAGES


def test_the_command_draws_a_page(
    run: Path, tiny_root: Path, tmp_path: Path, relume: Callable[..., Result]
) -> None:
    pairs, out = tiny_root / "lol_v1/our485", tmp_path / "maps.png"
    done = relume("compare", pairs / "low", pairs / "high", "--features", run, "--limit", 2, "-o", out)
    assert done.code == 0, done.err
    assert done.err.count("depends on the image, of its projection") == 4
    assert done.err.count("correlation with the teacher's") == 5
    assert Image.open(out).size[1] > 4 * 100


def test_runs_without_a_teacher_are_refused(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, relume: Callable[..., Result]
) -> None:
    with pytest.raises(ModelError, match="not that of a run"):
        load_mirror(tmp_path)
    train(tiny_recipe, tiny_root, tmp_path / "plain", device="cpu", quiet=True)
    with pytest.raises(ModelError, match="has no mirrored teacher"):
        load_mirror(tmp_path / "plain")
    alone = relume("compare", tiny_root / "lol_v1/our485/low", "--features", tmp_path / "plain")
    assert alone.code == 2
    assert "needs targets" in alone.err
