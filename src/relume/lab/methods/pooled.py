"""A teacher's pooled features: for each batch, or computed once for each image and kept on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from relume.errors import UsageError
from relume.files import make_folder, write_file
from relume.lab.data.paired import Batch, PairedCrops, to_tensor
from relume.lab.teachers import Teacher

SIDE = 256
"""Whole images are shrunk to squares of this side before the teacher sees them for the cache."""


class PooledFeatures:
    """One vector per image: a teacher's feature, averaged over positions.

    With a folder, the teacher sees each whole image once, and every crop of it gets that vector: on two
    cores the teacher would otherwise cost more than the student. The file's name is a hash of teacher,
    feature and images, so nothing stale is ever read.

    Args:
        teacher: with features.
        feature: which of them, from 0.
        folder: where the cache lies; None computes them for each batch.
    """

    def __init__(self, teacher: Teacher, feature: int, folder: Path | None) -> None:
        self.teacher = teacher
        self.feature = feature
        self.folder = folder
        self.known: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """B x C, without gradient."""
        if self.known:
            return torch.stack([self.known[name] for name in batch.names]).to(batch.low_BCHW.device)
        return self._pooled(batch)

    def prepare(self, data: PairedCrops) -> None:
        """Read the cache, or compute it and write it in one step.

        Raises:
            OutputUnwritable: the cache cannot be written.
            UsageError: images are darkened anew for every batch, so no vector stands for them.
        """
        if self.folder is None:
            return
        if any(subject.source is not None and subject.source.kind == "darkened" for subject in data.subjects):
            raise UsageError(
                "a teacher's features of images that are darkened at random cannot be kept",
                "Leave out method_options.contrastive.cache.",
            )
        path = self.folder / f"{self._key(data)}.safetensors"
        if not path.exists():
            make_folder(self.folder)
            pooled = {
                subject.name: self._of_image(data.dark_image(position))
                for position, subject in enumerate(data.subjects)
            }
            write_file(path, save(pooled))
        self.known = load_file(path)

    def _key(self, data: PairedCrops) -> str:
        digest = hashlib.sha256(f"{self.teacher.fingerprint()} {self.feature} {SIDE}".encode())
        for position, subject in enumerate(data.subjects):
            digest.update(subject.name.encode() + data.dark_image(position).tobytes())
        return digest.hexdigest()[:32]

    def _of_image(self, low_HWC: npt.NDArray[np.uint8]) -> Tensor:
        low = F.adaptive_avg_pool2d(to_tensor(low_HWC), SIDE)
        device = next((parameter.device for parameter in self.teacher.parameters()), low.device)
        batch = Batch(low, low).to(device)
        return self._pooled(batch)[0].float().cpu().contiguous()

    def _pooled(self, batch: Batch) -> Tensor:
        return self.teacher.features(batch)[self.feature].mean((2, 3))
