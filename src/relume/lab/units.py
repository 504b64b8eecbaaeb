"""Hidden units of a two-pass network: which never act, and how those begin anew or are left out.

A unit whose activation is 0 for every picture adds nothing, and learns nothing any more. What looks at pooled
features or at the condition adds the same to all pixels, so a few steps of an optimizer can move it so far.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import ModelError
from relume.lab.data.packed import Roots
from relume.lab.data.paired import load_pairs, to_tensor, training_and_validation
from relume.lab.networks import build
from relume.lab.networks.two_pass import Block, TwoPass
from relume.lab.recipe import Data
from relume.lab.run import Run, load_run

LOCAL = "local "
"""What the names of layers of the local pass begin with; then comes where they are in it."""

SELDOM = 1e-3
"""A unit that is above 0 in a smaller share of the places of every picture counts as one that never acts."""

MULTIPLE = 16
"""Channels that engines compute at once; fewer save nothing."""

_PICTURES, _SIDE = 48, 256
"""How many held-out pictures are looked at, and so many pixels of each side, from the middle."""


@dataclass(frozen=True)
class Units:
    """Hidden units of one layer.

    Attributes:
        name: of the layer that they belong to.
        makers: layers one of whose outputs is a unit.
        users: layers one of whose inputs is a unit.
        modulation: layer whose outputs are the units' scales and then their shifts, where there is one.
    """

    name: str
    makers: Sequence[Any]
    users: Sequence[Any]
    modulation: Any = None

    @property
    def level(self) -> int:
        """Of the local pass that a block belongs to, finest first."""
        return int(self.name.removeprefix(LOCAL).split(".")[1])

    @torch.no_grad()
    def begin_anew(self, which_N: Tensor) -> None:
        """Give units random weights; nothing looks at them yet, so the network computes what it did."""
        for maker in self.makers:
            weight, bias = maker.weight.clone(), maker.bias.clone()
            maker.reset_parameters()
            maker.weight[~which_N], maker.bias[~which_N] = weight[~which_N], bias[~which_N]
        for user in self.users:
            user.weight[:, which_N] = 0
        if self.modulation is not None:
            both = which_N.repeat(2)
            self.modulation.weight[both] = 0
            self.modulation.bias[both] = 0

    @torch.no_grad()
    def keep(self, which: Tensor) -> None:
        """Leave out all units but these, by their numbers; the layers then have other shapes."""
        count = len(self.makers[0].weight)
        for maker in self.makers:
            maker.weight, maker.bias = nn.Parameter(maker.weight[which]), nn.Parameter(maker.bias[which])
        for user in self.users:
            user.weight = nn.Parameter(user.weight[:, which])
        if self.modulation is not None:
            both = torch.cat([which, which + count])
            self.modulation.weight = nn.Parameter(self.modulation.weight[both])
            self.modulation.bias = nn.Parameter(self.modulation.bias[both])


def hidden_units(network: nn.Module) -> list[Units]:
    """Those behind a two-pass network's pooled features, and those of its blocks.

    Raises:
        ModelError: another network.
    """
    if not isinstance(network, TwoPass):
        raise ModelError("only two-pass networks have known units", "Name a run of the network 'two-pass'.")
    decide: Any = network.global_pass
    blocks = {name: block for name, block in network.local_pass.named_modules() if isinstance(block, Block)}
    films = [block.film for block in blocks.values() if block.film is not None]
    units = [
        Units("global gain", [decide.log_gain[0]], [decide.log_gain[3]]),
        Units("global condition, hidden", [decide.condition[0]], [decide.condition[2]]),
    ]
    if films:
        units.append(Units("global condition", [decide.condition[2]], films))
    if decide.grid is not None:
        head = decide.grid
        makers = [head.fine, head.coarse, head.pooled, head.middle]
        units.append(Units("global grid", makers, [head.last, head.middle]))
    return units + [
        Units(f"{LOCAL}{name}", [block.first], [block.second], block.film) for name, block in blocks.items()
    ]


@torch.no_grad()
def activity(network: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> Mapping[str, Tensor]:
    """In which share of its places each unit is above 0, in the picture where it is so most.

    Args:
        network: two-pass.
        inputs: what the network takes, each for a batch.

    Returns:
        By the units' names, shape N.
    """
    most: dict[str, Tensor] = {}

    def see(name: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        share_BN = (given[0] > 0).float().flatten(2).mean(2) if given[0].ndim > 2 else (given[0] > 0).float()
        share_N = share_BN.amax(0)
        most[name] = torch.maximum(most[name], share_N) if name in most else share_N

    with ExitStack() as hooks:
        for units in hidden_units(network):
            for user in units.users:
                hooks.callback(user.register_forward_pre_hook(partial(see, units.name)).remove)
        for each in inputs:
            network(*each)
    return most


def without_silent(
    network: nn.Module, options: Mapping[str, Any], shares: Mapping[str, Tensor]
) -> tuple[nn.Module, dict[str, Any]]:
    """The network without hidden units of its local pass that count as never acting, and its options.

    The blocks of a level keep one inner width, a multiple of `MULTIPLE`, and each of them those units that
    act most. The global pass, which looks at a thumbnail, stays as it is.

    Args:
        network: two-pass, built with `options`; it is not changed.
        shares: its units' `activity`.
    """
    narrow = copy.deepcopy(network)
    blocks = [units for units in hidden_units(narrow) if units.name.startswith(LOCAL)]
    inner: dict[int, int] = {}
    for units in blocks:
        acting = int((shares[units.name] >= SELDOM).sum())
        kept = min(-(-max(acting, 1) // MULTIPLE) * MULTIPLE, len(shares[units.name]))
        inner[units.level] = max(inner.get(units.level, 0), kept)
    for units in blocks:
        units.keep(
            shares[units.name].argsort(descending=True, stable=True)[: inner[units.level]].sort().values
        )
    narrow_options = {**options, "inner": [inner[level] for level in sorted(inner)]}
    built = build("two-pass", narrow_options)
    built.load_state_dict(narrow.state_dict())
    return built.train(network.training), narrow_options


def pictures(roots: Roots, data: Data) -> list[tuple[Tensor]]:
    """Middles of dark held-out pictures of a recipe's data, evenly spread, 1 x 3 x H x W each.

    Raises:
        DataError: the data is missing or incomplete.
    """
    pairs = training_and_validation(roots, data)[1]
    chosen = load_pairs(pairs[:: -(-len(pairs) // _PICTURES)])
    found: list[tuple[Tensor]] = []
    for pair in chosen:
        top, left = (max(0, side - _SIDE) // 2 for side in pair.low_HWC.shape[:2])
        found.append((to_tensor(pair.low_HWC[top : top + _SIDE, left : left + _SIDE]),))
    return found


def write_counted(
    run: Path, roots: Roots, out: Path | None, *, leave_out: bool = False
) -> list[tuple[str, int, int]]:
    """Count a finished run's units, and leave a run whose silent ones have begun anew or are left out.

    Args:
        run: folder of a finished run of a two-pass network.
        roots: data root, or a pack, of the run's own recipe.
        out: a folder that holds no run yet; None to count alone.
        leave_out: as `without_silent` does, instead of `Units.begin_anew`.

    Returns:
        Name, units and silent units of each layer, before.

    Raises:
        ModelError: the folder holds no finished run, or that of another network.
        DataError: the data is missing or incomplete.
        UsageError: `out` holds a run.
        OutputUnwritable: no permission, no space.
    """
    if out is not None:
        Run(out).check_new()
    recipe, network = load_run(run)
    layers = hidden_units(network)  # so that another network is told before its data is read
    shares = activity(network, pictures(roots, recipe.data))
    if out is not None:
        if leave_out:
            network, options = without_silent(network, recipe.network_options, shares)
            recipe = replace(recipe, network_options=options)
        else:
            torch.manual_seed(recipe.seed)
            for units in layers:
                units.begin_anew(shares[units.name] < SELDOM)
        made = "narrowed_from" if leave_out else "revived_from"
        Run(out).finish(recipe, {**Run(run).environment(), made: str(run)}, network)
    lost = {name: int((share_N < SELDOM).sum()) for name, share_N in shares.items()}
    return [(units.name, len(shares[units.name]), lost[units.name]) for units in layers]
