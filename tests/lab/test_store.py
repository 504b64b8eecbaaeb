"""Batches cut on the device: what a plan says, pixel by pixel, whatever the images' sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.capabilities import Capabilities, Network
from relume.lab.data.batch import Batch, overview_shape
from relume.lab.data.colours import jitter_colours
from relume.lab.data.draws import ASPECTS, Plan, Sample, Window
from relume.lab.data.paired import LoadedPair, PairedCrops, to_tensor
from relume.lab.recipe import Colours, Data, Phase, Source

SIZES = ((40, 60), (64, 48), (200, 33), (97, 131))


def pairs(seed: int = 0) -> list[LoadedPair]:
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (2, *size, 3), np.uint8) for size in SIZES]
    return [LoadedPair(f"{number}", *both) for number, both in enumerate(images)]


def cut_by_hand(plan: Plan, known: list[LoadedPair]) -> Batch:
    """Sample by sample: slice, pool, turn, mirror, jitter."""
    lows, highs, thumbnails, windows = [], [], [], []
    for sample in plan.samples:

        def turned(image_BCHW: torch.Tensor, sample: Sample = sample) -> torch.Tensor:
            image_BCHW = torch.rot90(image_BCHW, sample.turns, (-2, -1))
            return image_BCHW.flip(-1) if sample.mirrored else image_BCHW

        def part(image_HWC: np.ndarray, window: Window, shape: tuple[int, int] | None) -> torch.Tensor:
            rows, columns = window
            image = to_tensor(image_HWC[rows.start : rows.stop, columns.start : columns.stop])
            return image if shape is None else F.adaptive_avg_pool2d(image, shape)

        pair = known[sample.position]
        shape = (plan.crop, plan.crop) if plan.resized else None
        of_low, of_high = (torch.tensor(f)[:, None, None] for f in (sample.low_factors, sample.high_factors))
        colours = torch.tensor([sample.colours])
        dark = (turned(part(pair.low_HWC, sample.window, shape)) * of_low).clamp(max=1)
        clean = (turned(part(pair.high_HWC, sample.window, shape)) * of_high).clamp(max=1)
        lows.append(jitter_colours(dark, colours))
        highs.append(jitter_colours(clean, colours))
        if plan.overview is None:
            continue
        small = plan.overview[::-1] if sample.turns % 2 else plan.overview
        around = (turned(part(pair.low_HWC, sample.region, small)) * of_low).clamp(max=1)
        thumbnails.append(jitter_colours(around, colours))
        # Where the crop lies, as a picture that is turned in the same way.
        mask = torch.zeros(1, 1, len(sample.region.rows), len(sample.region.columns))
        top, left = (mine.start - all_.start for mine, all_ in zip(sample.window, sample.region, strict=True))
        mask[..., top : top + len(sample.window.rows), left : left + len(sample.window.columns)] = 1
        mask = turned(mask)[0, 0]
        rows, columns = (mask.amax(axis).nonzero() for axis in (1, 0))
        edges = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
        windows.append([edge / mask.shape[number // 2] for number, edge in enumerate(edges)])
    if plan.overview is None:
        return Batch(torch.cat(lows), torch.cat(highs))
    return Batch(torch.cat(lows), torch.cat(highs), torch.cat(thumbnails), torch.tensor(windows))


@pytest.mark.parametrize(
    "data",
    [
        Data(exposure_jitter=0.5, colour_jitter=0.2, context=0.3),
        Data(framing="resize"),
        Data(quarter_turns=False, context=1.0),
        Data(colours=Colours(0.2, 0.1, 0.3, 0.05), vertical_flips=True, passes=True, exposure_jitter=0.2),
    ],
)
@pytest.mark.parametrize("overview", [0, 16, 128])
def test_a_batch_is_what_its_plan_says(data: Data, overview: int) -> None:
    known = pairs()
    crops = PairedCrops(known, data, seed=1, overview_size=overview)
    for index in range(8):
        phase = Phase(1, 24, 3)
        ours, theirs = crops.batch(index, phase), cut_by_hand(crops.draws.plan(index, phase), known)
        for name in ("low_BCHW", "high_BCHW", "thumbnail_BCST", "window_B4"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-6, rtol=0)


def test_large_cells_are_summed_in_more_bits() -> None:
    """White, so that 16 bits would overflow in any cell of more than 257 pixels."""
    white = np.full((160, 240, 3), 255, np.uint8)
    crops = PairedCrops([LoadedPair("white", white, white)], Data(framing="resize"), 0, overview_size=16)
    batch = crops.batch(0, Phase(1, 16, 1))
    assert torch.equal(batch.low_BCHW, torch.ones(1, 3, 16, 16))
    assert torch.equal(batch.thumbnail_BCST, torch.ones(1, 3, 16, 16))
    crops.batch(0, Phase(1, 2, 1))
    assert torch.equal(crops.batch(0, Phase(1, 24, 1)).high_BCHW, torch.ones(1, 3, 24, 24))


def test_a_batch_has_one_aspect_and_all_of_them_come() -> None:
    crops = PairedCrops(pairs(), Data(context=0.9), seed=0, overview_size=128)
    shapes = set()
    for index in range(60):
        plan = crops.draws.plan(index, Phase(1, 16, 4))
        shapes.add(plan.overview)
        for sample in plan.samples:
            rows, columns = (len(axis) for axis in sample.region)
            rows, columns = (columns, rows) if sample.turns % 2 else (rows, columns)
            assert rows / columns == pytest.approx(plan.overview[0] / plan.overview[1], rel=0.15)
    assert shapes == {(128, 128), (88, 128), (128, 88), (96, 128), (128, 96)}
    assert shapes == {overview_shape(height, width, 128) for width, height in ASPECTS}


def test_plans_depend_on_seed_and_number_alone() -> None:
    first, second = (PairedCrops(pairs(seed), Data(), 7, 16).draws for seed in (0, 1))
    second.plan(0, Phase(1, 16, 2))
    assert first.plan(3, Phase(1, 16, 2)) == second.plan(3, Phase(1, 16, 2))
    plans = [
        PairedCrops(pairs(), Data(), seed, 16).draws.plan(index, Phase(1, 16, 2))
        for seed, index in ((7, 3), (7, 4), (8, 3))
    ]
    assert all(one != other for number, one in enumerate(plans) for other in plans[:number])


@pytest.mark.parametrize("passes", [False, True])
def test_ranks_share_the_batches_of_one(passes: bool) -> None:
    def plan(rank: int, ranks: int) -> Plan:
        crops = PairedCrops(pairs(), Data(passes=passes), 7, 16, rank=rank, ranks=ranks)
        return crops.draws.plan(5, Phase(1, 16, 6))

    whole, parts = plan(0, 1), [plan(rank, 3) for rank in range(3)]
    assert [sample for part in parts for sample in part.samples] == list(whole.samples)
    assert {(part.crop, part.overview) for part in parts} == {(whole.crop, whole.overview)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_cuts_the_same() -> None:
    options = Data(exposure_jitter=0.5, colour_jitter=0.2)
    ours, theirs = (PairedCrops(pairs(), options, 0, 64, device=device) for device in ("cpu", "cuda"))
    for index in range(4):
        one, other = (
            ours.batch(index, Phase(1, 24, 4)),
            theirs.batch(index, Phase(1, 24, 4)).to(torch.device("cpu")),
        )
        for name in ("low_BCHW", "high_BCHW", "thumbnail_BCST", "window_B4"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1 / 255, rtol=0)


class Looks(Network):
    """Takes thumbnails of a size."""

    def __init__(self, overview: int) -> None:
        super().__init__()
        self.capabilities = Capabilities(overview)


def test_a_network_gets_the_inputs_it_looks_at() -> None:
    batch = PairedCrops(pairs(), Data(), 0, overview_size=64).batch(0, Phase(1, 24, 2))
    rows, columns = batch.thumbnail_BCST.shape[-2:]
    assert len(batch.inputs(torch.nn.Identity())) == 1
    low, same, window = batch.inputs(Looks(64))
    assert low is batch.low_BCHW
    assert same is batch.thumbnail_BCST
    assert window is batch.window_B4
    smaller = batch.inputs(Looks(32))[1]
    assert smaller.shape[-2:] == overview_shape(rows, columns, 32)
    with pytest.raises(UsageError, match="thumbnails have"):
        batch.inputs(Looks(128))
    whole = replace(batch, thumbnail_BCST=None, window_B4=None)
    assert len(whole.inputs(Looks(128))) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_pass_takes_every_image_once(count: int) -> None:
    known = pairs()
    draws = PairedCrops(known, Data(passes=True), seed=1).draws
    plans = [draws.plan(index, Phase(1, 24, count)) for index in range(4 * len(known))]
    order = [sample.position for plan in plans for sample in plan.samples]
    passes = [order[start : start + len(known)] for start in range(0, len(order), len(known))]
    assert all(sorted(each) == list(range(len(known))) for each in passes)
    assert len({tuple(each) for each in passes}) > 1
    again = draws.plan(3, Phase(1, 24, count))  # out of order, as after an interruption
    assert again == plans[3]
    assert PairedCrops(known, Data(passes=True), seed=2).draws.plan(0, Phase(1, 24, 4)) != plans[0]


def test_mixed_sources_have_no_passes() -> None:
    source = Source("made", "darkened", "clean", 1.0, "")
    with pytest.raises(ValidationError, match="passes are of one set"):
        Data(sources=(source,), passes=True)


def test_vertical_flips_turn_upside_down_without_quarter_turns() -> None:
    def seen(**options: bool) -> set[tuple[int, bool]]:
        draws = PairedCrops(pairs(), Data(quarter_turns=False, **options), seed=1).draws
        plans = (draws.plan(index, Phase(1, 24, 4)) for index in range(20))
        return {(sample.turns, sample.mirrored) for plan in plans for sample in plan.samples}

    assert seen() == {(0, False), (0, True)}
    assert seen(vertical_flips=True) == {(0, False), (0, True), (2, False), (2, True)}


def test_colours_are_drawn_within_what_the_recipe_says() -> None:
    draws = PairedCrops(pairs(), Data(colours=Colours(0.2, 0.1, 0.3, 0.05)), seed=1).draws
    drawn = np.array(
        [sample.colours for index in range(50) for sample in draws.plan(index, Phase(1, 24, 4)).samples]
    )
    assert np.abs(drawn - (1, 1, 1, 0)).max(0) == pytest.approx((0.2, 0.1, 0.3, 0.05), rel=0.1)
    assert drawn.mean(0) == pytest.approx((1, 1, 1, 0), abs=0.03)
