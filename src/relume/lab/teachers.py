"""Frozen teachers: whatever returns an output for a dark image and, if it can, features of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from relume.errors import ModelError, UsageError
from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch
from relume.lab.networks import build
from relume.lab.options import checked_options
from relume.lab.run import Run
from relume.lab.weights import load_weights

Members: TypeAlias = Annotated[tuple[Mapping[str, Any], ...], Field(min_length=1)]

RANDOM = "random"
"""What a recipe gives for weights to try a network untrained, knowingly."""


class Teacher(nn.Module):
    """What distillation asks of a teacher.

    Attributes:
        feature_channels: channels of each feature, coarse or early ones first; none for an output only.
        overview_size: long side of the thumbnails that it wants batches to bring; 0 for none.
    """

    feature_channels: tuple[int, ...] = ()
    overview_size: int = 0

    def output(self, batch: Batch) -> Tensor:
        """The enhanced images in [0, 1], without gradient."""
        raise NotImplementedError

    def features(self, batch: Batch) -> list[Tensor]:
        """Its features of the dark images, without gradient."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """SHA-256 of what it knows; equal teachers have equal ones."""
        raise NotImplementedError


class NetworkTeacher(Teacher):
    """Any network of the laboratory; its features are its `features`, or the maps of its decoder.

    Args:
        network: trained.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        offered = capabilities(network)
        self.feature_channels = offered.compared
        self.overview_size = offered.overview
        self.eval()

    @torch.no_grad()
    def output(self, batch: Batch) -> Tensor:
        return self.network(*batch.inputs(self.network)).clamp(0, 1)

    @torch.no_grad()
    def features(self, batch: Batch) -> list[Tensor]:
        network: Any = self.network
        if capabilities(network).features:
            return network.features(batch.low_BCHW)
        return network.decode(network.encode(*batch.inputs(network)))

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, value in self.network.state_dict().items():
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class OnnxTeacher(Teacher):
    """A graph with an input `image`, B x 3 x H x W in [0, 1], and one output of the same shape.

    Args:
        file: the graph.

    Raises:
        ModelError: missing, or no graph.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        try:
            self._graph = file.read_bytes()
        except OSError as error:
            raise ModelError("the teacher's graph cannot be read", "Check the name.", path=file) from error
        from relume.models.engines import OnnxEngine  # needs ONNX Runtime, which few runs do

        self._engine = OnnxEngine(self._graph, device="cpu")

    def output(self, batch: Batch) -> Tensor:
        images = [np.ascontiguousarray(image[None].cpu().numpy()) for image in batch.low_BCHW]
        outputs = np.concatenate([next(iter(self._engine.run(image=image).values())) for image in images])
        return torch.from_numpy(outputs).to(batch.low_BCHW.device).clamp(0, 1)

    def fingerprint(self) -> str:
        return hashlib.sha256(self._graph).hexdigest()


class Ensemble(Teacher):
    """The mean of several teachers' outputs; it has no features.

    Args:
        members: at least one.
    """

    def __init__(self, members: Sequence[Teacher]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.overview_size = max(member.overview_size for member in members)

    def output(self, batch: Batch) -> Tensor:
        outputs = [cast(Teacher, member).output(batch).float() for member in self.members]
        return torch.stack(outputs).mean(0)

    def fingerprint(self) -> str:
        prints = [cast(Teacher, member).fingerprint() for member in self.members]
        return hashlib.sha256(" ".join(prints).encode()).hexdigest()


def load_teacher(description: Mapping[str, Any]) -> Teacher:
    """A teacher as recipes describe it.

    Args:
        description: `{"run": FOLDER}` for a finished run; `{"onnx": FILE}` for a graph of one image input;
            `{"network": NAME, "options": {...}, "weights": FILE}` for a network of the laboratory, where the
            file is one that `load_weights` reads; or `{"ensemble": [...]}` for several of these.
            `"weights": "random"` leaves the network untrained.

    Raises:
        UsageError: another description.
        ModelError: a file is missing or does not fit.
    """
    kind = next((_KINDS[key] for key in _KINDS if key in description), None)
    if kind is None:
        raise UsageError(
            f"a teacher cannot be described by {sorted(description)}",
            "Give run, onnx, ensemble, or network and weights.",
        )
    return kind(**checked_options(kind, description, "a teacher's options"))


def _of_run(run: Path) -> NetworkTeacher:
    try:
        return NetworkTeacher(Run(run).network())
    except ModelError as error:
        raise ModelError(
            f"the recipe's teacher is this run: {error.reason}",
            "Train it first (relume train NAME -o RUN), or name another in method_options by --set.",
            path=error.path,
        ) from error


def _of_graph(onnx: Path) -> OnnxTeacher:
    return OnnxTeacher(onnx)


def _of_several(ensemble: Members) -> Ensemble:
    return Ensemble([load_teacher(member) for member in ensemble])


def _of_network(network: str, options: Mapping[str, Any] | None = None, weights: str = "") -> NetworkTeacher:
    built = build(network, options)
    if not weights:
        raise ModelError(
            f"teacher '{network}' has no weights",
            "Name their file: --set method_options.teachers.NAME.weights=FILE.",
        )
    if weights != RANDOM:
        load_weights(Path(weights), built)
    return NetworkTeacher(built)


_KINDS: Mapping[str, Callable[..., Teacher]] = {
    "run": _of_run,
    "onnx": _of_graph,
    "ensemble": _of_several,
    "network": _of_network,
}
"""What makes a teacher, by the key of its description that says of what."""
