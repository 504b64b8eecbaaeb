"""Forward and backward pass of a batch: as written, or on CUDA as a recorded graph of all its operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from relume.lab import ranks
from relume.lab.data.batch import Batch
from relume.lab.methods.base import Method
from relume.lab.recipe import Recipe
from relume.lab.training.device import autocast
from relume.lab.training.learner import Learner

_WARM = 3
"""Steps of a size that run as written before it is recorded: libraries choose their algorithms in them."""


@dataclass
class _Recording:
    """What is known of one size of batches."""

    seen: int = 0
    batch: Batch | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    graph: Any = None


class Recorder:
    """Computes a method's losses and adds their gradients.

    A small network's step on a GPU is mostly the time that Python needs to start its operations. Recorded
    once for each size of batches, they are started by one call. Only methods that say so are recorded
    (`Method.recordable`), since what they decide outside of tensors would be frozen. Where recording fails,
    steps go on as written. On machines without CUDA, the tests' among them, nothing is ever recorded.

    Args:
        method: what computes the losses.
        learner: who learns from them.
        recipe: whether to record.
        device, precision: where and how to compute.
    """

    def __init__(
        self, method: Method, learner: Learner, recipe: Recipe, device: torch.device, precision: str
    ) -> None:
        self.method, self.learner = method, learner
        self.device, self.precision = device, precision
        self.records = recipe.graphs and device.type == "cuda" and method.recordable and not recipe.compile
        self.records = self.records and ranks.count() == 1  # what ranks exchange is not recorded
        self._recordings: dict[tuple[Any, ...], _Recording] = {}
        self._pool: Any = None

    def backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """Add a share of the gradients of the sum of a batch's losses; return each loss, detached."""
        if self.device.type == "cuda":
            batch = replace(batch, low_BCHW=batch.low_BCHW.contiguous(memory_format=torch.channels_last))
        if not self.records:
            return self._as_written(batch, share)
        key = (share, *(None if x is None else x.shape for x in batch.tensors()))
        known = self._recordings.setdefault(key, _Recording())
        known.seen += 1
        if known.seen <= _WARM:
            return self._aside(lambda: self._as_written(batch, share))
        if known.graph is None:
            self._record(known, batch, share)
            if known.graph is None:
                return self._as_written(batch, share)
        for kept, new in zip((known.batch or batch).tensors(), batch.tensors(), strict=True):
            if kept is not None and new is not None:
                kept.copy_(new)
        known.graph.replay()
        return {name: loss.clone() for name, loss in known.losses.items()}

    def _as_written(self, batch: Batch, share: float) -> dict[str, Tensor]:
        with autocast(self.device, self.precision):
            losses = self.method(batch)
        self.learner.backward(torch.stack(list(losses.values())).sum() * share)
        return {name: loss.detach() for name, loss in losses.items()}

    def _aside(self, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """On a stream of its own, as before a recording."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = compute()
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def _record(self, known: _Recording, batch: Batch, share: float) -> None:
        """Record without computing; gradients must be there already, so that they are added to in place."""
        for parameter in self.learner.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        graph = torch.cuda.CUDAGraph()
        kept = replace(
            batch,
            low_BCHW=batch.low_BCHW.clone(),
            high_BCHW=batch.high_BCHW.clone(),
            thumbnail_BCST=None if batch.thumbnail_BCST is None else batch.thumbnail_BCST.clone(),
            window_B4=None if batch.window_B4 is None else batch.window_B4.clone(),
        )
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                losses = self._as_written(kept, share)
        except RuntimeError as error:
            warnings.warn(f"the step cannot be recorded ({error}); it runs as written", stacklevel=2)
            self.records = False
            return
        self._pool = graph.pool()
        known.batch, known.losses, known.graph = kept, losses, graph
