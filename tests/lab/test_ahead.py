"""Batches made ahead: the same ones, whoever makes them."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies

from relume.errors import DataError
from relume.lab.data.batch import Batch, Parcel
from relume.lab.data.paired import PairedCrops, load_pairs, training_and_validation
from relume.lab.recipe import Data, Phase, Recipe
from relume.lab.run import Run
from relume.lab.training import timing
from relume.lab.training.ahead import Ahead, pick_workers
from relume.lab.training.loop import train

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="workers are forked"
)


def crops(root: Path) -> PairedCrops:
    pairs = load_pairs(training_and_validation(root, Data())[0])
    return PairedCrops(pairs, Data(exposure_jitter=0.5), seed=3, overview_size=16)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_fork)])
def test_batches_ahead_are_those_that_are_asked_for(tiny_root: Path, workers: int) -> None:
    data = crops(tiny_root)
    ahead = Ahead(data, workers=workers)
    first, second = Phase(1, 16, 3), Phase(1, 24, 2)
    # In order, from another number on, of another phase, and back.
    for index, phase in [
        (0, first),
        (1, first),
        (2, first),
        (7, first),
        (8, second),
        (9, second),
        (3, first),
    ]:
        ready, wanted = ahead.batch(index, phase), data.batch(index, phase)
        assert ready.names == wanted.names
        for one, other in zip(ready.tensors(), wanted.tensors(), strict=True):
            assert one is not None
            assert other is not None
            assert one.dtype == torch.float32
            # Workers send half precision: a tenth of a level of 8 bits.
            assert (one - other).abs().max() <= (0.1 / 255 if workers else 0)
    ahead.close()


@given(strategies.booleans(), strategies.integers(1, 3), strategies.integers(1, 9))
def test_a_parcel_holds_a_batch(thumbnails: bool, count: int, side: int) -> None:
    shown = (torch.rand(count, 3, 8, 6), torch.rand(count, 4)) if thumbnails else (None, None)
    batch = Batch(torch.rand(count, 3, side, side), torch.rand(count, 3, side, side), *shown, ("a", "b"))
    parcel = Parcel.of(batch)
    assert parcel.values_N.dtype == torch.float16
    opened = parcel.to(torch.device("cpu"))
    assert opened.names == batch.names
    for one, other in zip(opened.tensors(), batch.tensors(), strict=True):
        if other is None:
            assert one is None
        else:
            assert one is not None
            assert torch.equal(one, other.half().float())


@needs_fork
def test_an_error_of_a_worker_is_what_it_is_elsewhere(tiny_root: Path) -> None:
    ahead = Ahead(crops(tiny_root), workers=1)
    with pytest.raises(DataError, match="smaller than the crop"):
        ahead.batch(0, Phase(1, 4096, 1))
    ahead.batch(0, Phase(1, 16, 1))
    ahead.close()


@needs_fork
def test_a_run_with_workers_learns_the_same(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe, precision="float32")
    for name, workers in (("thread", 0), ("workers", 2)):
        train(recipe, tiny_root, tmp_path / name, device="cpu", quiet=True, workers=workers)
    one, other = (Run(tmp_path / name).metrics()[-1] for name in ("thread", "workers"))
    assert one["psnr"] == pytest.approx(other["psnr"], abs=0.1)


def test_nothing_is_forked_for_a_cpu() -> None:
    assert pick_workers(torch.device("cpu")) == (0, torch.device("cpu"))
    assert pick_workers(torch.device("meta"), 3) == (3, torch.device("cpu"))


def test_the_probe_does_not_count_what_a_first_time_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: clock[0])
    numbers = count()

    def act() -> None:
        clock[0] += 4.0 if next(numbers) == 0 else 0.01

    assert timing.seconds(act, torch.device("cpu"), 3.0) == pytest.approx(0.01)


def test_the_probe_tries_what_is_slow_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: clock[0])
    tried: list[float] = []

    def act() -> None:
        clock[0] += 5.0
        tried.append(clock[0])

    assert timing.seconds(act, torch.device("cpu"), 3.0) == 5.0
    assert len(tried) == 2
