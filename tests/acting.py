"""A small two-pass network whose every part acts: layers that begin at zero would hide what is wrong."""

from __future__ import annotations

from typing import Any

import torch

from relume.lab.networks.two_pass import TwoPass

SMALL: dict[str, Any] = {
    "widths": [16, 16],
    "depths": [1, 1],
    "condition": 8,
    "global_width": 4,
    "overview_size": 16,
}


def acting(seed: int = 0) -> TwoPass:
    """One of `SMALL`, with random weights."""
    torch.manual_seed(seed)
    made = TwoPass(**SMALL)
    for name, value in made.named_parameters():
        if value.ndim > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.05)
        assert value.ndim < 2 or value.any(), name
    return made
