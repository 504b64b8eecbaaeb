"""Decisions: the global pass learns from two finished runs what to decide, for each kind of picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.data.batch import Batch
from relume.lab.methods.taught import Taught
from relume.lab.networks.two_pass import Decision, TwoPass, place
from relume.lab.teachers import NetworkTeacher, load_teacher
from relume.steps.grid import tone

TERMS = ("tone", "gain", "grid", "condition", "target")
"""Distances to what the teachers decide: between thumbnails after gain and grid, between the logarithms of
gains and of grids, and between condition vectors. Last that of crops after gain and grid to their targets,
for the sources that learn from those."""

_BLUR = 4
"""Pixels of a crop along each side of what is compared with the target: noise is the local pass's matter."""


class Decisions(Taught):
    """Distillation of the global pass alone, on thumbnails; the local pass stays as it starts.

    A long run on few real pairs remembers how bright each of their targets is, and decides worse for scenes
    that it has not seen, while its local pass and what it decides for pictures made by formula still improve.
    So a run that remembers less decides for photographed pairs, the run that the network starts from for all
    else, and only the condition vector, to which that run's local pass is used, is always that of its own.
    The global pass begins as that of the first.

    Args:
        network: two-pass, its weights those of the long run.
        losses: weights of `TERMS`.
        photographed: the teacher of photographed pairs, as `load_teacher` takes it, of the same network.
        alone: sources whose pictures are right as they are: a gain of 1 and an empty grid are wanted there.
        targets: sources of which no teacher decides well: gain and grid are to bring their crops to the
            targets.

    Raises:
        UsageError: another network, losses that are not among `TERMS`, or `targets` without a weight of the
            loss `target`, or the other way round.
        ModelError: the teacher is missing or does not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        photographed: Mapping[str, Any],
        alone: tuple[str, ...] = (),
        targets: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        teacher = load_teacher(photographed)
        deciding = teacher.network if isinstance(teacher, NetworkTeacher) else None
        if not isinstance(network, TwoPass) or not isinstance(deciding, TwoPass):
            raise UsageError("only two-pass networks decide", "Choose two-pass, and a run of it as teacher.")
        if unknown := set(losses) - set(TERMS):
            raise UsageError(f"no loss is called {sorted(unknown)}", f"Choose from: {', '.join(TERMS)}.")
        if bool(targets) != ("target" in losses):
            raise UsageError(
                "the loss 'target' and method_options.targets need each other", "Give both, or neither."
            )
        self.network = network
        self.weights = dict(losses)
        self.alone = frozenset(alone)
        self.targets = frozenset(targets)
        self.teachers = {"photographed": teacher, "other": NetworkTeacher(deepcopy(network))}
        network.global_pass.load_state_dict(deciding.global_pass.state_dict())
        network.local_pass.requires_grad_(False)

    def train(self, mode: bool = True) -> Decisions:
        """Always as in use: dropout and statistics of a batch would be differences that mean nothing."""
        super().train(False)
        self.training = mode
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted distance; of most crops only the thumbnails are looked at.

        Raises:
            UsageError: the batch has no thumbnails.
        """
        inputs = batch.inputs(self.network)
        if len(inputs) == 1:
            raise UsageError("decisions are learnt from thumbnails", "Set data.framing=crop.")
        overview_BCST = inputs[1].float()
        with torch.autocast(overview_BCST.device.type, enabled=False):
            own = self._decision("other", overview_BCST)
            wanted = _chosen(photographed(batch), self._decision("photographed", overview_BCST), own)
            wanted = _chosen(_from(batch, self.alone), _nothing(own), wanted)
            network: Any = self.network
            found = network.global_pass(overview_BCST)
            place_B4 = place(overview_BCST, None)
            shown, aim = (
                tone(overview_BCST, each.gain_BC, each.grid_BKGG, place_B4).bright for each in (found, wanted)
            )
            by_target = _from(batch, self.targets)
            distances = {
                "tone": _mean(F.l1_loss(shown, aim, reduction="none"), ~by_target),
                "gain": _mean((found.gain_BC.log() - wanted.gain_BC.log()).abs(), ~by_target),
                "grid": _mean((found.grid_BKGG - wanted.grid_BKGG).abs(), ~by_target),
                "condition": F.mse_loss(found.condition_BK, own.condition_BK),
                "target": _mean(_missed(batch, found), by_target),
            }
        return {name: weight * distances[name] for name, weight in self.weights.items()}

    @torch.no_grad()
    def _decision(self, teacher: str, overview_BCST: Tensor) -> Decision:
        taught: Any = self.teachers[teacher]
        return taught.network.global_pass(overview_BCST)


def _from(batch: Batch, sources: Collection[str]) -> Tensor:
    """Which of a batch's pictures are from these sources, B."""
    names = [name.partition(":")[0] for name in batch.names] or [""] * len(batch.low_BCHW)
    return torch.tensor([name in sources for name in names], device=batch.low_BCHW.device)


def _mean(distance: Tensor, counts_B: Tensor) -> Tensor:
    """Mean of a distance, B x ..., that is 0 for the pictures that do not count."""
    return (distance.flatten(1).mean(1) * counts_B).mean()


def _missed(batch: Batch, decision: Decision) -> Tensor:
    """How far the crops are from their targets after gain and grid, without their noise, B x 3 x h x w."""
    low, high = (F.avg_pool2d(crop.float(), _BLUR) for crop in (batch.low_BCHW, batch.high_BCHW))
    bright = tone(low, decision.gain_BC, decision.grid_BKGG, place(low, batch.window_B4)).bright
    return (bright - high).abs()


def photographed(batch: Batch) -> Tensor:
    """Which of a batch's pairs were photographed dark and well-lit, B: neither darkened nor left as it is."""
    darkened = [how is not None for how in batch.degradations] or [False] * len(batch.low_BCHW)
    same_B = (batch.low_BCHW == batch.high_BCHW).flatten(1).all(1)
    return ~(torch.tensor(darkened, device=same_B.device) | same_B)


def _nothing(like: Decision) -> Decision:
    """To leave photos as they are."""
    return Decision(torch.ones_like(like.gain_BC), like.condition_BK, torch.zeros_like(like.grid_BKGG))


def _chosen(first_B: Tensor, one: Decision, other: Decision) -> Decision:
    """One decision where `first_B`, the other elsewhere; gains and grids alone."""
    return Decision(
        torch.where(first_B[:, None], one.gain_BC, other.gain_BC),
        other.condition_BK,
        torch.where(first_B[:, None, None, None], one.grid_BKGG, other.grid_BKGG),
    )
