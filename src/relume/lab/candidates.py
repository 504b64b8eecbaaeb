"""Runs and networks as what an evaluation puts side by side."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from relume.datasets.overlap import trained_on
from relume.evaluate.candidates import Candidate
from relume.evaluate.protocol import to_8_bits
from relume.lab.networks import build
from relume.lab.networks.cost import count_parameters
from relume.lab.run import Run, load_run
from relume.lab.training.validation import enhance_array
from relume.lab.weights import load_weights


def of_run(run: Path) -> Candidate:
    """The network of a finished run.

    Raises:
        ModelError, UsageError: as `load_run`.
    """
    recipe, network = load_run(run)
    candidate = _of_network(run.resolve().name, network, (Run(run).recipe_file, Run(run).weights_file))
    return replace(candidate, trained_on=tuple(trained_on(asdict(recipe))))


def of_network(name: str, file: Path) -> Candidate:
    """A network by name, with weights from a file.

    Raises:
        UsageError: no such network.
        ModelError: the weights are damaged, or of another network.
    """
    network = build(name).eval()
    load_weights(file, network)
    return _of_network(name, network, (file,))


def _of_network(label: str, network: nn.Module, files: tuple[Path, ...]) -> Candidate:
    cpu = torch.device("cpu")
    return Candidate(
        label,
        count_parameters(network),
        lambda _, pixels: enhance_array(network, to_8_bits(pixels), cpu),
        files,
    )
