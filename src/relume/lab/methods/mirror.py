"""The mirror method of IAML: a moving-average decoder that sees the clean image teaches the student's.

The encoder is shared: the clean image goes through the student's own encoder, without gradient, then
through the teacher's decoder. It works with every network whose capabilities name the decoder's `maps`.
Nothing of the teacher is needed for inference.

In evaluation mode, as IAML is published, the clean image is normalised by the statistics of dark ones, far
outside of which it lies: its maps are then noise to the student. Two options bring it back: statistics of
its own batch, and a clean image as dark as its partner.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from relume.errors import UsageError
from relume.lab import ranks
from relume.lab.average import follow
from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch
from relume.lab.losses.mirror import STANDARDISATIONS, dimmed, illumination_weight, mirror_losses
from relume.lab.methods.base import Method
from relume.lab.options import Count, NotNegative, Share, Widths

CLEAN_STATISTICS = ("running", "batch")
"""What BatchNorm normalises the clean image by: running ones of dark images, or those of its own batch."""


class EncoderDecoder(Protocol):
    """What the mirror method asks of a network; the encoding is the network's own affair."""

    def encode(self, *inputs: Tensor) -> Any: ...
    def decode(self, encoding: Any) -> list[Tensor]: ...
    def render(self, encoding: Any, maps: list[Tensor]) -> Tensor: ...


class Mirror(Method):
    """Supervision of the image, and of the decoder's maps by the mirrored teacher.

    Args:
        network: an encoder-decoder.
        losses: weight of each named image term, and of `mirror`.
        projections: channels of the 1x1 projections, coarsest scale first; as many scales are aligned.
        beta: strength of the illumination weight; 0 is the plain mirror loss.
        decay: decay of the teacher's moving average per step; 0 copies the student.
        standardise_over: `sample` as in IAML, `channel` or `batch`, see `standardise`.
        clean_statistics: one of `CLEAN_STATISTICS`, for the encoder and the teacher's decoder.
        dim_clean: scale the clean image to the dark one's mean luma first, see `dimmed`.
        frozen_projections: random orthonormal projections without bias, the same for both, that nobody
            trains, instead of learnt ones, which can learn to ignore the image.
        first_map: the coarsest of the decoder's maps that is aligned; 0, as in IAML, is the bottleneck.
        detach_encoder: let the mirror teach the decoder alone; costs a second pass of the decoder.
        fade: let the mirror's weight fall to 0 over the run, linearly.

    Raises:
        UsageError: the network has no decoder maps, or fewer than there are projections; or no such
            standardisation or statistics.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        projections: Widths = (32, 64, 128, 256),
        beta: NotNegative = 0.6,
        decay: Share = 0.999,
        standardise_over: str = "sample",
        clean_statistics: str = "running",
        dim_clean: bool = False,
        frozen_projections: bool = False,
        first_map: Count = 0,
        detach_encoder: bool = False,
        fade: bool = False,
    ) -> None:
        super().__init__()
        channels = capabilities(network).maps[first_map:]
        if len(channels) < len(projections):
            raise UsageError(
                f"the network offers {len(channels)} decoder maps for {len(projections)} projections",
                "Choose an encoder-decoder, or fewer projections.",
            )
        _check(standardise_over, STANDARDISATIONS, "maps cannot be standardised over")
        if standardise_over == "batch" and ranks.count() > 1:
            raise UsageError(
                "maps cannot be standardised over a batch that several processes share",
                "Choose another method_options.standardise_over, or train in one process.",
            )
        _check(clean_statistics, CLEAN_STATISTICS, "clean images cannot be normalised by statistics of")
        self.network = network
        self.paired_weights = {name: weight for name, weight in losses.items() if name != "mirror"}
        self.mirror_weight = losses.get("mirror", 0.0)
        self.beta, self.decay, self.standardise_over = beta, decay, standardise_over
        self.clean_statistics, self.dim_clean = clean_statistics, dim_clean
        self.first_map, self.detach_encoder, self.fade = first_map, detach_encoder, fade
        self.projections = nn.ModuleList(
            _projection(before, after, frozen_projections)
            for before, after in zip(channels, projections, strict=False)
        )
        # Its copy of the encoder is never used: one copy of everything keeps the method blind to the network.
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.teacher_projections = copy.deepcopy(self.projections).requires_grad_(False)

    def check_crop(self, side: int) -> None:
        """Refuse crops that the network's levels do not divide."""
        multiple = capabilities(self.network).multiple
        if side % multiple:
            raise UsageError(f"the network takes crops of multiples of {multiple}", "Change phases.N.crop.")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted term; the mirror terms by scale, `mirror_1` the coarsest.

        Raises:
            UsageError: crops that the network's levels do not divide.
        """
        network = cast(EncoderDecoder, self.network)
        for side in batch.low_BCHW.shape[-2:]:
            self.check_crop(side)
        encoding = network.encode(*batch.inputs(self.network))
        maps = network.decode(encoding)
        losses = self.paired_losses(network.render(encoding, maps), batch.high_BCHW)
        if not self.mirror_weight:
            return losses
        ours = self._projected(
            self.projections, self._decoded_alone(encoding) if self.detach_encoder else maps
        )
        weight_B1HW = illumination_weight(batch.low_BCHW, self.beta)
        terms = mirror_losses(ours, self.teacher_maps(batch), weight_B1HW, self.standardise_over)
        share = self.mirror_weight / len(terms) * (1 - self.progress if self.fade else 1)
        return losses | {f"mirror_{scale}": share * term for scale, term in enumerate(terms, start=1)}

    def _decoded_alone(self, encoding: Any) -> list[Tensor]:
        """The same maps once more, through which no gradient reaches the encoder."""
        detached = tree_map(lambda level: level.detach(), encoding)
        with _untracked(self.network):  # the first pass has counted these maps already
            return cast(EncoderDecoder, self.network).decode(detached)

    def student_maps(self, batch: Batch) -> list[Tensor]:
        """The decoder's maps of the dark image, projected, coarsest first."""
        return self._projected(self.projections, self.raw_student_maps(batch))

    def raw_student_maps(self, batch: Batch) -> list[Tensor]:
        """All of the decoder's maps of the dark image as they are, coarsest first."""
        network = cast(EncoderDecoder, self.network)
        return network.decode(network.encode(*batch.inputs(self.network)))

    def teacher_maps(self, batch: Batch) -> list[Tensor]:
        """What the teacher makes of the clean image, projected; the student's mode is restored."""
        return self._projected(self.teacher_projections, self.raw_teacher_maps(batch))

    @torch.no_grad()
    def raw_teacher_maps(self, batch: Batch) -> list[Tensor]:
        """All maps of the teacher as they are; the student's mode and statistics are left alone."""
        was_training = self.network.training
        self.network.eval()
        self.teacher.eval()
        clean_BCHW = dimmed(batch.high_BCHW, batch.low_BCHW) if self.dim_clean else batch.high_BCHW
        by_batch = (self.network, self.teacher) if self.clean_statistics == "batch" else ()
        with _untracked(*by_batch, training=True):
            encoding = cast(EncoderDecoder, self.network).encode(clean_BCHW)
            maps = cast(EncoderDecoder, self.teacher).decode(encoding)
        self.network.train(was_training)
        return maps

    def after_step(self) -> None:
        """Let the teacher follow the student, BatchNorm statistics included."""
        follow(self.teacher, self.network, self.decay)
        follow(self.teacher_projections, self.projections, self.decay)

    def _projected(self, projections: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
        chosen = maps[self.first_map :]
        return [projection(level).float() for projection, level in zip(projections, chosen, strict=False)]


def _check(name: str, among: Collection[str], what: str) -> None:
    if name not in among:
        raise UsageError(f"{what} '{name}'", f"Choose one of: {', '.join(among)}.")


def _projection(before: int, after: int, frozen: bool) -> nn.Conv2d:
    """A 1x1 convolution; a frozen one keeps the lengths of what it does not drop, and adds nothing."""
    projection = nn.Conv2d(before, after, 1, bias=not frozen)
    if frozen:
        nn.init.orthogonal_(projection.weight)
        projection.requires_grad_(False)
    return projection


@contextmanager
def _untracked(*modules: nn.Module, training: bool | None = None) -> Iterator[None]:
    """Keep BatchNorm from counting what passes, and set whether it normalises by the batch (`training`)."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, _BatchNorm)]
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    for norm in norms:
        norm.training = norm.training if training is None else training
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, (mode, tracks) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = mode, tracks
