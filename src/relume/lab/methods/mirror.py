"""The mirror method of IAML: a moving-average decoder that sees the clean image teaches the student's.

The encoder is shared: the clean image goes through the student's own encoder, in evaluation mode and
without gradient, then through the teacher's decoder. It works with every network that offers `encode`,
`decode`, `render` and `map_channels`. Nothing of the teacher is needed for inference.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab.average import follow
from relume.lab.data.paired import Batch
from relume.lab.losses.mirror import STANDARDISATIONS, illumination_weight, mirror_losses
from relume.lab.methods.base import Method


class EncoderDecoder(Protocol):
    """What the mirror method asks of a network; the encoding is the network's own affair."""

    map_channels: Sequence[int]

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
        decay: decay of the teacher's moving average a step; 0 copies the student.
        standardise_over: `sample` as in IAML, `channel` or `batch`, see `standardise`.

    Raises:
        UsageError: the network has no decoder maps, or fewer than there are projections; or no such
            standardisation.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        projections: Sequence[int] = (32, 64, 128, 256),
        beta: float = 0.6,
        decay: float = 0.999,
        standardise_over: str = "sample",
    ) -> None:
        super().__init__()
        channels = getattr(network, "map_channels", ())
        if len(channels) < len(projections):
            raise UsageError(
                f"the network offers {len(channels)} decoder maps for {len(projections)} projections",
                "Choose an encoder-decoder, or fewer projections.",
            )
        if standardise_over not in STANDARDISATIONS:
            raise UsageError(
                f"maps cannot be standardised over '{standardise_over}'",
                f"Choose one of: {', '.join(STANDARDISATIONS)}.",
            )
        self.network = network
        self.paired_weights = {name: weight for name, weight in losses.items() if name != "mirror"}
        self.mirror_weight = losses.get("mirror", 0.0)
        self.beta, self.decay, self.standardise_over = beta, decay, standardise_over
        self.projections = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(channels, projections, strict=False)
        )
        # Its copy of the encoder is never used: one copy of everything keeps the method blind to the network.
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.teacher_projections = copy.deepcopy(self.projections).requires_grad_(False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted term; the mirror terms by scale, `mirror_1` the coarsest.

        Raises:
            UsageError: crops that the network's levels do not divide.
        """
        network = cast(EncoderDecoder, self.network)
        multiple = getattr(network, "size_multiple", 1)
        if any(size % multiple for size in batch.low_BCHW.shape[-2:]):
            raise UsageError(f"the network takes crops of multiples of {multiple}", "Change phases.N.crop.")
        encoding = network.encode(*batch.inputs(self.network))
        maps = network.decode(encoding)
        losses = self.paired_losses(network.render(encoding, maps), batch.high_BCHW)
        if not self.mirror_weight:
            return losses
        ours = self._projected(self.projections, maps)
        weight_B1HW = illumination_weight(batch.low_BCHW, self.beta)
        terms = mirror_losses(ours, self.teacher_maps(batch.high_BCHW), weight_B1HW, self.standardise_over)
        share = self.mirror_weight / len(terms)
        return losses | {f"mirror_{scale}": share * term for scale, term in enumerate(terms, start=1)}

    def student_maps(self, batch: Batch) -> list[Tensor]:
        """The decoder's maps of the dark image, projected, coarsest first."""
        network = cast(EncoderDecoder, self.network)
        return self._projected(self.projections, network.decode(network.encode(*batch.inputs(self.network))))

    @torch.no_grad()
    def teacher_maps(self, clean_BCHW: Tensor) -> list[Tensor]:
        """What the teacher makes of the clean image, projected; the student's mode is restored."""
        was_training = self.network.training
        self.network.eval()
        self.teacher.eval()
        encoding = cast(EncoderDecoder, self.network).encode(clean_BCHW)
        self.network.train(was_training)
        return self._projected(self.teacher_projections, cast(EncoderDecoder, self.teacher).decode(encoding))

    def after_step(self) -> None:
        """Let the teacher follow the student, BatchNorm statistics included."""
        follow(self.teacher, self.network, self.decay)
        follow(self.teacher_projections, self.projections, self.decay)

    @staticmethod
    def _projected(projections: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
        return [projection(level).float() for projection, level in zip(projections, maps, strict=False)]
