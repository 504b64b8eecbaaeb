"""Soups: one network whose weights are the mean of several runs' weights; it costs what one of them does.

Wortsman et al., "Model soups", ICML 2022. It works where the runs started from the same weights: networks
that were trained from different random ones have nothing to average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from relume.datasets.overlap import trained_on
from relume.errors import UsageError
from relume.lab.average import follow
from relume.lab.run import Run, load_run


def write_soup(runs: Sequence[Path], shares: Sequence[float], out: Path) -> None:
    """Average finished runs, and leave the mean as a run folder, which whatever takes runs takes.

    Its recipe is that of the first run, and its environment names all of them with their shares.

    Args:
        runs: folders, at least one; of the same network.
        shares: of each, above 0; they are divided by their sum, a finite one. Without any they are equal.
        out: a folder that holds no run yet.

    Raises:
        UsageError: shares that are none, runs of other networks, a run trained on what the first was not, or
            `out` holds a run.
        ModelError: a folder holds no finished run, or its weights are damaged.
        OutputUnwritable: no permission, no space.
    """
    given = list(shares) or [1.0] * len(runs)
    if len(given) != len(runs) or not all(share > 0 for share in given) or not sum(given) < float("inf"):
        raise UsageError(f"{len(runs)} runs cannot have the shares {given}", "Give each one above 0.")
    target = Run(out)
    target.check_new()
    recipe, mean = load_run(runs[0])
    sets = set(trained_on(asdict(recipe)))
    for count, run in enumerate(runs[1:], start=1):
        other, network = load_run(run)
        if (other.network, other.network_options) != (recipe.network, recipe.network_options):
            raise UsageError(
                f"its network is not that of {runs[0]}", "Average runs of one network.", path=run
            )
        if more := sorted(set(trained_on(asdict(other))) - sets):
            raise UsageError(
                f"it was trained on {', '.join(more)}, which the recipe of {runs[0]} does not name",
                "Name a run first that was trained on all that the others were.",
                path=run,
            )
        before = sum(given[:count])
        follow(mean, network, before / (before + given[count]))
    total = sum(given)
    parts = {str(run): share / total for run, share in zip(runs, given, strict=True)}
    target.finish(recipe, {**Run(runs[0]).environment(), "mean_of": parts}, mean)
