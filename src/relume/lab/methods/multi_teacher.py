"""The training method of Compact Clarity: fidelity, perception, two kinds of distillation, and an adversary.

Any subset of its terms may be used; what has no weight is neither built nor computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab import ranks
from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch, PairedCrops
from relume.lab.integers import check_integers, in_integers
from relume.lab.losses import LOSSES, Loss, charbonnier
from relume.lab.losses.adversarial import get_adversarial
from relume.lab.losses.contrastive import ProjectionHead, info_nce
from relume.lab.losses.perceptual import Perceptual
from relume.lab.methods.feature_terms import FeatureTerms, check_features, split_weights
from relume.lab.methods.pooled import PooledFeatures
from relume.lab.methods.taught import Taught
from relume.lab.networks import build
from relume.lab.options import Count, Positive, checked_options
from relume.lab.teachers import Teacher, load_teacher

_GIVEN = ("network", "teachers", "channels", "weights")
"""What parts get from the method; all else is an option."""

Temperature: TypeAlias = Annotated[float, Field(gt=0)]

IMITATION = "imitation-"
"""A loss of this name and a teacher's is the distance (Charbonnier) between the student's output and its."""

SIGNED = ("charbonnier", "frequency", "gradient")
"""Terms in units of pixel values: the thesis takes them, and gives their weights, on images in [-1, 1]."""


class MultiTeacher(Taught):
    """The hybrid loss of Compact Clarity (eq. 3.12), and imitation of a teacher's output beside it.

    Args:
        network: the student; terms of features need one that has some.
        losses: weights; beside the paired terms `perceptual`, `adversarial`, `contrastive`, `imitation-NAME`
            for teachers by name, and the terms of `FEATURE_LOSSES`.
        teachers: description of each teacher by name, see `load_teacher`.
        contrastive: `teacher` (whose features), `student_feature` and `teacher_feature` (which of them,
            from 0), `embedding` (length), `temperature`, and `cache` (a folder for the teacher's pooled
            features; computed for every batch without it).
        features: `teacher`, `student_feature` and `teacher_feature`, as above, for `FEATURE_LOSSES`.
        perceptual: `backbone`, `file` and `layer` as for `Perceptual.load`.
        adversarial: `loss` (`bce` or `lsgan`) and the `options` of the PatchGAN.
        fusion: name of the teacher whose features the student's Attention Fusion sees; none by default.
        target: name of a teacher whose output stands in for the target in the paired terms; none by default.
        integers: let the student round as its graph of 8 bits will, see `relume.lab.integers`.

    Raises:
        UsageError: names that do not fit together.
        ModelError: weights that are missing or do not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        teachers: Mapping[str, Mapping[str, Any]] | None = None,
        contrastive: Mapping[str, Any] | None = None,
        features: Mapping[str, Any] | None = None,
        perceptual: Mapping[str, Any] | None = None,
        adversarial: Mapping[str, Any] | None = None,
        fusion: str = "",
        target: str = "",
        integers: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        weights = {name: weight for name, weight in losses.items() if weight}
        self.imitation = {
            name.removeprefix(IMITATION): weights.pop(name)
            for name in list(weights)
            if name.startswith(IMITATION)
        }
        self.adversarial_weight = weights.pop("adversarial", 0.0)
        self.contrastive_weight = weights.pop("contrastive", 0.0)
        feature_weights = split_weights(weights)
        self.paired_weights = weights
        self.fusion, self.target, self.integers = fusion, target, integers
        if integers:
            check_integers(network)
        contrast = _checked(Contrast, contrastive, "contrastive") if self.contrastive_weight else {}
        compared = _checked(FeatureTerms, features, "features") if feature_weights else {}
        asking = [each for each in (contrast, compared) if each]
        self.teachers = _needed_teachers(self, teachers or {}, asking)
        _check_fusion(network, self.teachers.get(fusion), fusion)
        terms: dict[str, Loss] = {**LOSSES, **{name: _signed(LOSSES[name]) for name in SIGNED}}
        if "perceptual" in weights:
            terms["perceptual"] = Perceptual.load(**_checked(Perceptual.load, perceptual, "perceptual"))
        self.paired_terms = terms
        self.contrast = Contrast(network, self.teachers, **contrast) if contrast else None
        channels = capabilities(network).compared
        self.feature_terms = (
            FeatureTerms(channels, self.teachers, feature_weights, **compared) if compared else None
        )
        self._build_adversary(**_checked(self._build_adversary, adversarial, "adversarial"))

    def _build_adversary(self, loss: str = "bce", options: Mapping[str, Any] | None = None) -> None:
        self.objectives = get_adversarial(loss)
        self.adversary = build("patchgan", options) if self.adversarial_weight else None
        self._generated = torch.empty(0)

    def frozen(self) -> Iterator[nn.Module]:
        yield from super().frozen()
        yield from (term for term in self.paired_terms.values() if isinstance(term, nn.Module))

    def prepare(self, data: PairedCrops) -> None:
        """Compute the teacher's pooled features once, where a cache is asked for."""
        if self.contrast is not None:
            self.contrast.prepare(data)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted term; what is minimised is their sum."""
        with in_integers(self.network) if self.integers else nullcontext():
            output, features = self._student(batch)
        target = self.teachers[self.target].output(batch).float() if self.target else batch.high_BCHW
        losses = self.paired_losses(output, target)
        for name, weight in self.imitation.items():
            imitated = self.teachers[name].output(batch).float()
            losses[f"{IMITATION}{name}"] = weight * charbonnier(output.float(), imitated)
        if self.adversary is not None:
            self.adversary.requires_grad_(False)
            judged = self.adversary(output).float()
            losses["adversarial"] = self.adversarial_weight * self.objectives.generator(judged)
            self._generated = output.detach()
        if self.contrast is not None:
            losses["contrastive"] = self.contrastive_weight * self.contrast(features, batch)
        if self.feature_terms is not None:
            losses |= self.feature_terms(features, batch)
        return losses

    def _student(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The student's output, and its features where a term wants them."""
        network: Any = self.network
        inputs = batch.inputs(network)
        if self.fusion:
            inputs = (*inputs, self.teachers[self.fusion].features(batch)[capabilities(network).fusion - 1])
        if self.contrast is None and self.feature_terms is None:
            return network(*inputs), []
        if capabilities(network).features:
            return network.output_and_features(*inputs)
        encoding = network.encode(*inputs)
        maps = network.decode(encoding)
        height, width = batch.low_BCHW.shape[-2:]
        return network.render(encoding, maps)[..., :height, :width], maps

    def adversary_loss(self, batch: Batch) -> Tensor:
        """The discriminator's loss on targets and on what the student last made (eq. 3.14, 3.15)."""
        assert self.adversary is not None  # noqa: S101 - the loop asks only where there is one
        self.adversary.requires_grad_(True)
        real, fake = self.adversary(batch.high_BCHW), self.adversary(self._generated)
        return self.objectives.discriminator(real.float(), fake.float())


class Contrast(nn.Module):
    """Contrastive distillation (eq. 3.13): projection heads on a student's and a teacher's features, InfoNCE.

    Args:
        network: the student.
        teachers: by name.
        teacher, student_feature, teacher_feature, embedding, temperature, cache: as for `MultiTeacher`.
    """

    def __init__(
        self,
        network: nn.Module,
        teachers: Mapping[str, Teacher],
        teacher: str,
        student_feature: Count = 2,
        teacher_feature: Count = 2,
        embedding: Positive = 128,
        temperature: Temperature = 0.07,
        cache: str = "",
    ) -> None:
        super().__init__()
        channels = capabilities(network).compared
        theirs = teachers[teacher].feature_channels
        check_features(channels, teachers[teacher], teacher, student_feature, teacher_feature, "contrastive")
        self.student_feature, self.temperature = student_feature, temperature
        self.student_head = ProjectionHead(channels[student_feature], embedding)
        self.teacher_head = ProjectionHead(theirs[teacher_feature], embedding)
        self.pooled = PooledFeatures(teachers[teacher], teacher_feature, Path(cache) if cache else None)

    def prepare(self, data: PairedCrops) -> None:
        self.pooled.prepare(data)

    def forward(self, features: list[Tensor], batch: Batch) -> Tensor:
        """The unweighted loss, in float32."""
        pooled = self.pooled(batch)
        with torch.autocast(pooled.device.type, enabled=False):
            ours = self.student_head(features[self.student_feature].float())
            theirs = self.teacher_head(pooled[:, :, None, None].float())
            return info_nce(ranks.gathered(ours), ranks.gathered(theirs), self.temperature)


def _checked(part: Callable[..., object], options: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """The options of one of the method's parts."""
    return checked_options(part, options or {}, f"method_options.{name}", _GIVEN)


def _signed(loss: Loss) -> Loss:
    """The loss of images in [0, 1] as one of images in [-1, 1]."""
    return lambda prediction_BCHW, target_BCHW: loss(2 * prediction_BCHW - 1, 2 * target_BCHW - 1)


def _check_fusion(network: nn.Module, teacher: Teacher | None, name: str) -> None:
    """Attention Fusion needs a student that has it and a teacher with features of the right width."""
    group = capabilities(network).fusion
    if bool(group) != bool(name):
        raise UsageError(
            "only one of the student and the method has Attention Fusion",
            "Set both network_options.attention_fusion and method_options.fusion, or neither.",
        )
    if teacher is not None and len(teacher.feature_channels) < group:
        raise UsageError(
            f"teacher '{name}' has {len(teacher.feature_channels)} features, too few for Attention Fusion "
            f"after group {group}",
            "Choose another teacher or group.",
        )


def _needed_teachers(
    method: MultiTeacher, described: Mapping[str, Mapping[str, Any]], asking: Sequence[Mapping[str, Any]]
) -> dict[str, Teacher]:
    """Load the teachers that a term asks for, and no others."""
    names = {*method.imitation, *(name for name in (method.fusion, method.target) if name)}
    names |= {options["teacher"] for options in asking}
    missing = sorted(names - set(described))
    if missing:
        raise UsageError(f"no teacher is called {missing}", "Describe it in method_options.teachers.")
    return {name: load_teacher(described[name]) for name in sorted(names)}
