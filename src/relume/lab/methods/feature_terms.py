"""Terms that compare a student's features with a teacher's, and train nothing of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from relume.errors import UsageError
from relume.lab import ranks
from relume.lab.data.paired import Batch
from relume.lab.losses.attention_transfer import attention_loss
from relume.lab.losses.relational import relational_loss
from relume.lab.losses.similarity import similarity_loss
from relume.lab.options import Count
from relume.lab.teachers import Teacher

FEATURE_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "attention": attention_loss,
    "relational": relational_loss,
    "similarity": similarity_loss,
}
"""Every such term by the name that recipes use: of the student's and the teacher's maps, of any widths."""


def check_features(
    channels: Sequence[int], teacher: Teacher, name: str, student_feature: int, teacher_feature: int, of: str
) -> None:
    """Raises UsageError unless student and teacher have the features that a term is to compare.

    Args:
        channels: of the student's features.
        teacher, name: the teacher, and what it is called.
        student_feature, teacher_feature: which of them, from 0.
        of: name of the method's option that tells them.
    """
    if student_feature >= len(channels) or teacher_feature >= len(teacher.feature_channels):
        raise UsageError(
            f"the student has {len(channels)} features and teacher '{name}' {len(teacher.feature_channels)}, "
            f"too few for number {student_feature} and {teacher_feature} (from 0)",
            f"Choose others by method_options.{of}, or set the weights of its terms to 0.",
        )


class FeatureTerms:
    """Feature losses of one student's and one teacher's feature.

    Args:
        channels: of the student's features.
        teachers: by name.
        weights: of the terms, keys of `FEATURE_LOSSES`.
        teacher, student_feature, teacher_feature: whose features, and which of both, from 0.
    """

    def __init__(
        self,
        channels: Sequence[int],
        teachers: Mapping[str, Teacher],
        weights: Mapping[str, float],
        teacher: str,
        student_feature: Count = 2,
        teacher_feature: Count = 2,
    ) -> None:
        check_features(channels, teachers[teacher], teacher, student_feature, teacher_feature, "features")
        self.teacher, self.weights = teachers[teacher], weights
        self.student_feature, self.teacher_feature = student_feature, teacher_feature

    def __call__(self, features: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """The weighted terms, in float32."""
        ours = ranks.gathered(features[self.student_feature])
        theirs = ranks.gathered(self.teacher.features(batch)[self.teacher_feature])
        with torch.autocast(ours.device.type, enabled=False):
            return {
                name: weight * FEATURE_LOSSES[name](ours, theirs) for name, weight in self.weights.items()
            }


def split_weights(weights: dict[str, float]) -> dict[str, float]:
    """Take the weights of feature losses out of all weights, and return them."""
    return {name: weights.pop(name) for name in sorted(FEATURE_LOSSES) if name in weights}
