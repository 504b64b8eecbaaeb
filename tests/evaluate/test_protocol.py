from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relume.errors import DataError, RelumeError
from relume.evaluate import Pair, Perceptual, Report, Row, Scores, evaluate_pairs, find_pairs, score
from relume.evaluate.metrics import psnr
from relume.evaluate.protocol import mean_scores, read_pixels, to_8_bits


def picture(seed: int, height: int = 24, width: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    for side in ("low", "high"):
        (tmp_path / side).mkdir()
    for index in range(3):
        target = picture(index)
        Image.fromarray(target // 8).save(tmp_path / "low" / f"{index}.png")
        Image.fromarray(target).save(tmp_path / "high" / f"{index}.png")
    return find_pairs(tmp_path / "low", tmp_path / "high")


def brighten(pair: Pair) -> np.ndarray:
    return read_pixels(pair.low) * np.uint8(8)


def test_a_report_is_the_mean_of_its_images(pairs: list[Pair]) -> None:
    seen: list[tuple[int, int]] = []
    report = evaluate_pairs(pairs, brighten, params=79_416, progress=lambda *done: seen.append(done))
    assert [row.name for row in report.rows] == ["0", "1", "2"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    each = [psnr(brighten(pair), read_pixels(pair.high)) for pair in pairs]
    assert report.mean.psnr == pytest.approx(np.mean(each))
    assert report.n == 3


def test_the_json_is_valid_and_complete(pairs: list[Pair]) -> None:
    report = evaluate_pairs(pairs, lambda pair: read_pixels(pair.high))
    parsed = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert parsed["psnr"] == parsed["psnr_gt_mean"] == 100.0
    assert parsed["ssim"] == parsed["ssim_uniform7"] == 1.0
    assert parsed["n"] == 3
    assert parsed["params"] is None
    assert "Gaussian 11x11, sigma 1.5" in parsed["protocol"]
    assert set(parsed["per_image"][0]) == {"name", "psnr", "ssim", "ssim_uniform7", "psnr_gt_mean"}
    assert "lpips" not in parsed
    assert "lpips_backbone" not in parsed


def test_lpips_is_there_only_with_a_backbone(pairs: list[Pair]) -> None:
    perceptual = Perceptual("alex 0.1", lambda prediction, target: 0.25)
    report = evaluate_pairs(pairs, brighten, perceptual=perceptual).to_json()
    assert report["lpips"] == 0.25
    assert report["lpips_backbone"] == "alex 0.1"
    assert report["per_image"][2]["lpips"] == 0.25
    some = [Scores(1, 1, 1, 1, 0.5), Scores(1, 1, 1, 1)]
    assert mean_scores(some).lpips is None


def test_another_size_is_an_error_that_names_the_file(pairs: list[Pair]) -> None:
    with pytest.raises(DataError, match="30x24 pixels, the target 31x24") as caught:
        evaluate_pairs(pairs, lambda pair: brighten(pair)[:, 1:])
    assert caught.value.path == pairs[0].low


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(DataError, match="no pair"):
        evaluate_pairs([], brighten)
    with pytest.raises(DataError, match="no scores"):
        _ = Report(()).mean


def test_an_unreadable_target_is_an_error(pairs: list[Pair]) -> None:
    pairs[1].high.write_bytes(b"not an image")
    with pytest.raises(RelumeError) as caught:
        evaluate_pairs(pairs, brighten)
    assert Path(str(caught.value.path)) == pairs[1].high


def test_targets_of_other_formats_can_be_read_by_the_caller(pairs: list[Pair]) -> None:
    report = evaluate_pairs(pairs, brighten, read_target=lambda path: np.zeros((24, 31, 3), np.uint8))
    assert report.mean.psnr < 10


def test_predictions_are_rounded_and_clipped_to_8_bits() -> None:
    floats = np.array([[[-0.5, 0.5, 1.5], [1.4 / 255, 1.6 / 255, 1.0]]])
    np.testing.assert_array_equal(to_8_bits(floats), [[[0, 128, 255], [1, 2, 255]]])
    every = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_8_bits(every), np.rint(every / 257).astype(np.uint8))
    target = picture(5)
    exact = score(target, target)
    assert score(target / 255.0 + 0.001, target) == exact
    assert score(np.minimum(target, 254).astype(np.uint16) * 257 + 100, np.minimum(target, 254)) == exact


def test_values_that_are_no_numbers_are_an_error() -> None:
    broken = picture(0) / 255.0
    broken[3, 4, 1] = np.nan
    with pytest.raises(DataError, match="not numbers"):
        score(broken, picture(0))
    with pytest.raises(DataError, match="no range"):
        score(picture(0).astype(int), picture(0))


def test_rows_keep_their_scores() -> None:
    report = Report((Row("a", Scores(10, 0.5, 0.4, 12)), Row("b", Scores(20, 0.7, 0.6, 22))))
    assert report.mean == Scores(15, pytest.approx(0.6), 0.5, 17)


def test_evaluation_needs_no_laboratory() -> None:
    code = (
        "import sys, relume.evaluate.report, relume.evaluate.sheet, relume.evaluate.noreference;"
        "print([name for name in ('torch', 'scipy', 'skimage', 'relume.lab') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
