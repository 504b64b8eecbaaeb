"""Growth: a trained two-pass network becomes a larger one that computes the same, which is then trained.

Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016. New
channels begin with random weights, but nothing that was there before looks at them yet; new blocks begin
as the identity. So training continues from where the smaller network stood.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab.networks import build
from relume.lab.networks.two_pass import TwoPass
from relume.lab.recipe import Recipe
from relume.lab.run import Run, check_leak, load_run


def write_grown(run: Path, recipe: Recipe, out: Path) -> None:
    """Grow the network of a finished run to that of a recipe, and leave it as a run folder.

    The folder's recipe is that of the run but for the network, since that is what the weights have been
    trained by, and its environment names the run.

    Args:
        run: folder of a finished run of a two-pass network.
        recipe: whose network is wanted; its seed decides the new channels' weights.
        out: a folder that holds no run yet.

    Raises:
        UsageError: the networks are not two-pass, the new one is no larger one or has another leak, or
            `out` holds a run.
        ModelError: the folder holds no finished run, or its weights are damaged.
        OutputUnwritable: no permission, no space.
    """
    target = Run(out)
    target.check_new()
    source, small = load_run(run)
    check_leak(run, recipe)
    torch.manual_seed(recipe.seed)
    large = build(recipe.network, recipe.network_options)
    grow(small, large)
    grown = replace(source, network_options=recipe.network_options)
    target.finish(grown, {**Run(run).environment(), "grown_from": str(run)}, large)


@torch.no_grad()
def grow(small: nn.Module, large: nn.Module) -> None:
    """Give a freshly built larger network the weights of a smaller one, so that both compute the same.

    Raises:
        UsageError: a network that is not two-pass, or whose local pass is not as wide and deep.
    """
    if not isinstance(small, TwoPass) or not isinstance(large, TwoPass):
        raise UsageError("only two-pass networks can grow", "Name a run and a recipe of that network.")
    old, new = small.state_dict(), large.state_dict()
    for name, value in old.items():
        if name not in new or not _holds(new[name], value, may_grow="local_pass." in name):
            raise UsageError(
                f"the smaller network's {name} has no place in the larger one",
                "Name a recipe whose network differs in widths and depths alone, none of them smaller.",
            )
    for name, wanted in new.items():
        if name in old:
            _fill(*(_by_channel(each) if ".film." in name else each for each in (wanted, old[name])))
        elif ".second." in name:  # of a new block, which adds nothing yet
            wanted.zero_()
    large.train(small.training)


def _holds(wanted: Tensor, value: Tensor, *, may_grow: bool) -> bool:
    if not may_grow or wanted.ndim != value.ndim:
        return wanted.shape == value.shape
    return all(now >= before for now, before in zip(wanted.shape, value.shape, strict=True))


def _by_channel(film: Tensor) -> Tensor:
    """Channels first; a layer's outputs are all channels' scales, and then all their shifts."""
    return film.unflatten(0, (2, -1)).movedim(0, -1)


def _fill(wanted: Tensor, value: Tensor) -> None:
    """Write the smaller tensor where its channels are, which do not look at new ones yet."""
    if wanted.shape == value.shape:
        wanted.copy_(value)
        return
    wanted[: len(value)] = 0
    wanted[tuple(slice(size) for size in value.shape)] = value
