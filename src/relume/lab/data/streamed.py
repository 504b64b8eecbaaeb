"""Batches from shards, whose images are read when they are drawn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from relume.datasets.pairs import Pair
from relume.lab.data.batch import Batch
from relume.lab.data.draws import Draws, Plan, Subject
from relume.lab.data.packed import Roots, are_shards
from relume.lab.data.paired import (
    LoadedPair,
    LoadedPairs,
    PairedCrops,
    check_sources,
    load_pair,
    load_pairs,
    load_training_and_validation,
    scale_to,
    training_and_validation,
)
from relume.lab.data.shards import facts_of
from relume.lab.data.sources import SourcedPair
from relume.lab.recipe import Data

KEPT = 1 << 30
"""Bytes of pixels that a process keeps, of what it read last."""


class StreamedCrops(PairedCrops):
    """`PairedCrops` of more images than memory holds: the same batches, whose images are read when needed.

    Each process reads what its own share of a batch shows; where processes make batches ahead, what those
    show that it makes. As a batch is known by its number, a run resumes anywhere without reading what came
    before.

    Args:
        pairs: to train on, in shards.
        kept: bytes of pixels to keep of what was read last.
        data, seed, overview_size, rank, ranks, device: as of `PairedCrops`.

    Raises:
        DataError: there are no pairs.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        data: Data,
        seed: int,
        overview_size: int = 0,
        *,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | str = "cpu",
        kept: int = KEPT,
    ) -> None:
        self.pairs = [pair for pair in pairs if _is_bright(pair)]
        self.device = torch.device(device)
        self.subjects = [_subject(pair) for pair in self.pairs]
        self.draws = Draws(self.subjects, data, seed, overview_size, rank, ranks)
        self._kept, self._room = OrderedDict[int, LoadedPair](), kept

    def dark_image(self, position: int) -> npt.NDArray[np.uint8]:
        return self._pair(position).low_HWC

    def cut(self, plan: Plan) -> Batch:
        positions = dict.fromkeys(sample.position for sample in plan.samples)
        self._lay({position: self._pair(position) for position in positions})
        return super().cut(plan)

    def _pair(self, position: int) -> LoadedPair:
        """A pair, read unless it is kept."""
        if position in self._kept:
            self._kept.move_to_end(position)
            return self._kept[position]
        pair = load_pair(self.pairs[position])
        size = _size(pair)
        while self._kept and size > self._room:
            self._room += _size(self._kept.popitem(last=False)[1])
        if size <= self._room:
            self._kept[position] = pair
            self._room -= size
        return pair


def load_crops(
    roots: Roots,
    data: Data,
    seed: int,
    overview_size: int = 0,
    *,
    rank: int = 0,
    ranks: int = 1,
    device: torch.device | str = "cpu",
    loaded: LoadedPairs | None = None,
) -> tuple[PairedCrops, list[LoadedPair]]:
    """What makes batches of a recipe's data, from memory or from shards, and what is validated on, in memory.

    Args:
        roots: data root, pack or folder of shards.
        data, seed, overview_size, rank, ranks, device: as of `PairedCrops`.
        loaded: what `load_training_and_validation` has read of the data already.

    Raises:
        DataError: as `load_training_and_validation`.
    """
    if loaded or not are_shards(roots):
        training, validation = loaded or load_training_and_validation(roots, data)
        return PairedCrops(
            training, data, seed, overview_size, rank=rank, ranks=ranks, device=device
        ), validation
    pairs, held_out = training_and_validation(roots, data)
    streamed = StreamedCrops(pairs, data, seed, overview_size, rank=rank, ranks=ranks, device=device)
    validation = load_pairs(held_out)
    check_sources(
        roots, data, [each.source for each in streamed.subjects], [each.source for each in validation]
    )
    return streamed, validation


def _size(pair: LoadedPair) -> int:
    return pair.low_HWC.nbytes + (0 if pair.high_HWC is pair.low_HWC else pair.high_HWC.nbytes)


def _is_bright(pair: Pair) -> bool:
    """Whether its well-lit frame has the mean that its source asks for."""
    source = pair.source if isinstance(pair, SourcedPair) else None
    if source is None or not source.least_mean:
        return True
    known = {} if source.is_made else facts_of(pair.high).means
    mean = known[source.longest] if source.longest in known else load_pair(pair).high_HWC.mean()
    return bool(mean >= 255 * source.least_mean)


def _subject(pair: Pair) -> Subject:
    source = pair.source if isinstance(pair, SourcedPair) else None
    if source is not None and source.is_made:
        return Subject(pair.name, source, *load_pair(pair).low_HWC.shape[:2])
    facts = facts_of(pair.low)
    width, height = scale_to(facts.width, facts.height, source.longest if source else 0)
    return Subject(pair.name, source, height, width)
