"""Whole images resized to squares, and jittered colours: options of the training data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from relume.lab.data.paired import PairedCrops, load_pairs, to_tensor, training_and_validation
from relume.lab.recipe import Data, Phase


def test_resizing_shows_the_whole_image_in_both_orientations_only(tiny_root: Path) -> None:
    options = Data(framing="resize", quarter_turns=False)
    pairs = load_pairs(training_and_validation(tiny_root, options)[0])
    batch = PairedCrops(pairs, options, 0, 8).batch(0, Phase(1, 16, 4))
    by_name = {pair.name: pair for pair in pairs}
    for name, low, high in zip(batch.names, batch.low_BCHW, batch.high_BCHW, strict=True):
        whole = [
            F.adaptive_avg_pool2d(to_tensor(image), 16)[0]
            for image in (by_name[name].low_HWC, by_name[name].high_HWC)
        ]
        mirrored = not torch.allclose(low, whole[0])
        for ours, theirs in zip((low, high), whole, strict=True):
            torch.testing.assert_close(ours.flip(-1) if mirrored else ours, theirs)


def test_the_thumbnail_of_a_resized_image_shows_all_of_it(tiny_root: Path) -> None:
    options = Data(framing="resize", quarter_turns=False, context=0.3)
    pairs = load_pairs(training_and_validation(tiny_root, options)[0])
    batch = PairedCrops(pairs, options, 0, 16).batch(0, Phase(1, 16, 4))
    by_name = {pair.name: pair for pair in pairs}
    for name, thumbnail in zip(batch.names, batch.thumbnail_BCST, strict=True):
        whole = F.adaptive_avg_pool2d(to_tensor(by_name[name].low_HWC), 16)[0]
        assert any(torch.allclose(thumbnail, image) for image in (whole, whole.flip(-1)))
    assert batch.window_B4.tolist() == [[0, 1, 0, 1]] * 4


def test_colour_jitter_is_one_factor_a_channel_for_both_images(tiny_root: Path) -> None:
    options = Data(colour_jitter=0.3)
    pairs = load_pairs(training_and_validation(tiny_root, options)[0])
    phase = Phase(1, 32, 4)
    plain = PairedCrops(pairs, replace(options, colour_jitter=0.0), 0, 8).batch(2, phase)
    jittered = PairedCrops(pairs, options, 0, 8).batch(2, phase)
    first, second = plain.low_BCHW[0].mean((1, 2)), jittered.low_BCHW[0].mean((1, 2))
    factors = second / first
    assert factors.unique().numel() == 3
    assert 1 / 1.3 - 1e-4 <= factors.min() <= factors.max() <= 1.3 + 1e-4
    high = (plain.high_BCHW[0] * factors[:, None, None]).clamp(max=1)
    assert torch.allclose(high, jittered.high_BCHW[0], atol=1e-4)
