"""The grids that were run, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relume.errors import UsageError
from relume.lab.ablation import Grid
from relume.lab.recipes.iaml import iaml_cpu
from relume.lab.training.recipe import Phase, Recipe


def _narrow_iaml() -> Recipe:
    """`iaml-cpu` at half its widths and a sixth of its crops."""
    return replace(
        iaml_cpu(),
        network_options={"widths": [32, 64, 128, 256, 256], "head": 16},
        phases=(Phase(800, 64, 16), Phase(500, 128, 8), Phase(200, 256, 4)),
        validate_every=500,
        checkpoint_every=100,
    )


GRIDS: Mapping[str, Grid] = {
    "iaml": Grid(
        name="iaml",
        question="Does the illumination-aware mirror loss help, and does the teacher's average matter?",
        recipe=_narrow_iaml,
        cells={
            "no-mirror": ["losses.mirror=0"],
            "beta-0": ["method_options.beta=0"],
            "full": [],
            "decay-0": ["method_options.decay=0"],
            "decay-0.99": ["method_options.decay=0.99"],
        },
    ),
}


def get_grid(name: str) -> Grid:
    """A grid by name.

    Raises:
        UsageError: no grid of that name.
    """
    if name not in GRIDS:
        raise UsageError(f"no ablation is called '{name}'", f"Choose one of: {', '.join(sorted(GRIDS))}.")
    return GRIDS[name]
