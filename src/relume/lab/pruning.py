"""Structured pruning: a trained two-pass network becomes a narrower one, which is then fine-tuned.

Channels are removed where the loss tells that they matter least, by torch-pruning's dependency graph (Fang et
al., "DepGraph: Towards Any Structural Pruning", CVPR 2023) and the first-order Taylor expansion (Molchanov et
al., "Importance Estimation for Neural Network Pruning", CVPR 2019). All blocks of a level stay of one width,
so what is left is again a network of `TwoPass`'s own options, exported and run like any other.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import ModelError, UsageError
from relume.evaluate.figure import encoded, new_figure
from relume.files import check_folder, make_folder, read_json, write_file
from relume.lab.data.packed import Roots
from relume.lab.data.paired import LoadedPairs, PairedCrops, load_training_and_validation
from relume.lab.networks import build
from relume.lab.networks.two_pass import Encoding, LocalPass, TwoPass
from relume.lab.recipe import Recipe
from relume.lab.run import Run
from relume.lab.training.device import pick_device
from relume.lab.training.loop import Trainer
from relume.lab.trials import Clock, Trial, macs, shape, tried
from relume.lab.weights import save_weights

SHIPPED = "shipped"
PRUNED = "pruned"
SCRATCH = "scratch"
"""Stages of trials: as it was, pruned and fine-tuned, and of the same widths from random weights."""


@dataclass(frozen=True)
class Effort:
    """How channels are chosen.

    Attributes:
        multiple: widths are lowered in steps of so many channels; engines compute in blocks of 8 or 16.
        batches: of training data, by which importance is told.
    """

    multiple: int = 8
    batches: int = 16


class _Core(nn.Module):
    """The local pass's convolutions alone; the rest has no channels that could be removed."""

    def __init__(self, local_pass: LocalPass) -> None:
        super().__init__()
        self.local_pass = local_pass

    def forward(self, x_B4HW: Tensor, condition_BK: Tensor) -> Tensor:
        levels = self.local_pass.descend(x_B4HW, condition_BK)
        maps = self.local_pass.decode(Encoding(x_B4HW, x_B4HW, levels, condition_BK))
        return self.local_pass.head(maps[-1])


class Channels:
    """A network's channels that can be removed together, and what each group of them is worth.

    Args:
        network: with the gradients of a loss; it is not changed.
        options: what it was built with.

    Raises:
        ModelError: it is no two-pass network.
    """

    def __init__(self, network: nn.Module, options: Mapping[str, Any]) -> None:
        if not isinstance(network, TwoPass):
            raise ModelError("only two-pass networks can be pruned", "Name a run of the network 'two-pass'.")
        self.network = network
        self.options = dict(options)
        self.widths = [len(roots[0].weight) for roots in _roots(network.local_pass)]
        _, groups = _groups(network)
        self.worth = [[_importance(group) for group in level] for level in groups]

    def plan(self, share: float, multiple: int) -> list[int]:
        """The widths of a network that keeps at most this share of the multiplications.

        Again and again, the level loses its `multiple` least important channels whose removal adds least to
        the loss by what it saves.

        Raises:
            UsageError: no network of at least `multiple` channels per level is so small.
        """
        count = cache(lambda widths: macs("two-pass", self.narrowed(widths)))
        widths = tuple(self.widths)
        goal = share * count(widths)
        while count(widths) > goal:
            fewer = [
                (*widths[:level], width - multiple, *widths[level + 1 :])
                for level, width in enumerate(widths)
                if width > multiple
            ]
            if not fewer:
                raise UsageError(
                    f"no network of {multiple} channels per level keeps only {share:.0%} of the operations",
                    "Give a higher ratio, or a smaller --multiple.",
                )
            now = count(widths)
            widths = min(fewer, key=lambda new: (self._loss(new) - self._loss(widths)) / (now - count(new)))
        return list(widths)

    def _loss(self, widths: Sequence[int]) -> float:
        """What the loss gains, as far as the expansion tells, when levels are made so narrow."""
        return sum(
            float(worth.sort().values[: max(0, len(worth) - width)].sum())
            for level, width in zip(self.worth, widths, strict=True)
            for worth in level
        )

    def narrowed(self, widths: Sequence[int]) -> dict[str, Any]:
        """The options of a network of these widths, whose blocks are nowhere wider inside."""
        inner = self.options.get("inner")
        within = {"inner": [*map(min, inner, widths)]} if inner else {}
        return {**self.options, "widths": list(widths), **within}

    def pruned(self, widths: Sequence[int]) -> nn.Module:
        """A network of these widths, with the weights of the channels that matter most."""
        copied = copy.deepcopy(self.network)
        graph, _ = _groups(copied)
        import torch_pruning

        for roots, worths, width in zip(_roots(copied.local_pass), self.worth, widths, strict=True):
            for root, worth in zip(roots, worths, strict=True):
                least = worth.argsort()[: max(0, len(worth) - width)].tolist()
                if least:
                    graph.get_pruning_group(root, torch_pruning.prune_conv_out_channels, least).prune()
        narrow = build("two-pass", self.narrowed(widths))
        narrow.load_state_dict(copied.state_dict())
        return narrow.eval()


def _roots(local_pass: LocalPass) -> list[list[nn.Conv2d]]:
    """Of each level, the convolutions whose outputs make a group: what enters it, then inside each block."""
    entries = [local_pass.stem, *local_pass.down.children()]
    decoders = [*local_pass.decoder.children(), nn.ModuleList()]
    return [
        [entry, *(block.first for blocks in (encoder, decoder) for block in blocks.children())]
        for entry, encoder, decoder in zip(entries, local_pass.encoder.children(), decoders, strict=True)
    ]  # pyright: ignore[reportReturnType]


def _groups(network: TwoPass) -> tuple[Any, list[list[Any]]]:
    """The dependency graph, and the group of each of `_roots`."""
    import torch_pruning

    local_pass = network.local_pass
    like = local_pass.stem.weight
    side = 2 * local_pass.size_multiple
    told = network.decide(like.new_zeros(1, 3, side, side), None).condition_BK.detach()
    inputs = [like.new_zeros(1, 4, side, side), told]
    graph = torch_pruning.DependencyGraph().build_dependency(_Core(local_pass), inputs)
    groups = [
        [
            graph.get_pruning_group(root, torch_pruning.prune_conv_out_channels, [*range(len(root.weight))])
            for root in roots
        ]
        for roots in _roots(local_pass)
    ]
    return graph, groups


def _importance(group: Any) -> Tensor:
    """What the loss would gain without each channel of a group, by its weights' gradients."""
    import torch_pruning

    # Its types say neither that there may be no normalizer nor what it returns.
    measure: Any = torch_pruning.importance.GroupTaylorImportance
    return measure(group_reduction="sum", normalizer=None)(group).detach().cpu()


def channels_of(run: Path, recipe: Recipe, pairs: LoadedPairs, device: str, batches: int) -> Channels:
    """The channels of a finished run's network, and what they are worth to a recipe's loss.

    Raises:
        ModelError: no finished run, or no two-pass network.
        UsageError: the device is not there.
    """
    options = Run(run).recipe().network_options
    start = replace(recipe, network_options=options, start=str(Run(run).weights_file), precision="float32")
    trainer = Trainer(replace(start, graphs=False, compile=False), pick_device(device))
    data = PairedCrops(pairs[0], recipe.data, recipe.seed, trainer.method.overview_size)
    trainer.method.prepare(data)
    trainer.method.eval()  # what dropout leaves out would be worth nothing
    for number in range(batches):
        batch = data.batch(number, recipe.phases[0])
        trainer.recorder.backward(batch.to(trainer.device), 1 / batches)
    network = trainer.network.cpu().to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return Channels(network, options)


def curve(
    run: Path,
    recipe: Recipe,
    roots: Roots,
    folder: Path,
    ratios: Sequence[float],
    clock: Clock,
    effort: Effort,
    *,
    device: str = "auto",
    quiet: bool = False,
) -> Iterator[Trial]:
    """Prune a run's network to each ratio, fine-tune it, and train its like from random weights as long.

    The network itself is fine-tuned first, as the others are: what more training alone does is no merit of
    pruning.

    Args:
        run: folder of the finished run; it is only read.
        recipe: of fine-tuning; network, its options and its start come from the run.
        roots: data root, or a pack.
        folder: a run folder for each network comes below.
        ratios: shares of the multiplications that are kept, at most.

    Raises:
        ModelError, UsageError: as `channels_of` and `Channels.plan`.
        DataError: the data is missing or incomplete.
    """
    check_folder(folder)
    source = Run(run)
    options = source.recipe().network_options
    pairs = load_training_and_validation(roots, recipe.data)
    channels = cache(lambda: channels_of(run, recipe, pairs, device, effort.batches))
    make_folder(folder)

    def trial(stage: str, name: str, options: Mapping[str, Any], start: str) -> Trial:
        full = f"{stage}-{name}"
        own = replace(recipe, name=full, network="two-pass", network_options=dict(options), start=start)
        here = Run(folder / full)
        return tried(stage, name, own, roots, pairs, here, clock, device=device, quiet=quiet)

    source.network()  # so that a run that is missing is told before anything is trained
    yield trial(SHIPPED, "1.00", options, str(source.weights_file))
    narrow: dict[str, Mapping[str, Any]] = {}
    for ratio in ratios:
        name = f"{ratio:.2f}"
        start = folder / f"{PRUNED}-{name}.safetensors"
        told = folder / f"{PRUNED}-{name}.json"
        if not told.exists():
            widths = channels().plan(ratio, effort.multiple)
            save_weights(start, channels().pruned(widths))
            write_file(told, json.dumps(channels().narrowed(widths)) + "\n")
        narrow[name] = read_json(told)
        yield trial(PRUNED, name, narrow[name], str(start))
    for name, own in narrow.items():
        yield trial(SCRATCH, name, own, "")


def rows(trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table, headings first."""
    head = ["network", "widths", "GMAC at 256", "ms", "steps", "PSNR dB", "GT-mean PSNR dB", "SSIM"]
    return [
        head,
        *(
            [
                f"{trial.stage} {trial.name}",
                shape(trial),
                f"{trial.gmacs_256:.3f}",
                f"{trial.ms:.0f}",
                str(trial.steps),
                f"{trial.psnr:.2f}",
                f"{trial.psnr_gt_mean:.2f}",
                f"{trial.ssim:.4f}",
            ]
            for trial in trials
        ),
    ]


def picture(trials: Sequence[Trial], suffix: str) -> bytes:
    """Quality against multiplications, and against measured time."""
    figure = new_figure(11, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    first = trials[0]
    for stage in dict.fromkeys(trial.stage for trial in trials):
        own = sorted((trial for trial in trials if trial.stage == stage), key=lambda trial: trial.gmacs_256)
        for panel, cost in zip(panels, ("gmacs_256", "ms"), strict=True):
            costs = [getattr(trial, cost) for trial in own]
            panel.plot(costs, [trial.psnr for trial in own], marker="o", label=stage)
    panels[0].set(
        xlabel="multiply-adds at 256 x 256, in 1e9", ylabel=f"PSNR, {first.images} held-out images, dB"
    )
    what = f"{first.width} x {first.height}, {first.engine}, {first.threads} thread"
    panels[1].set(xlabel=f"ms for {what}")
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.legend(title=f"{first.steps} steps each")
    return encoded(figure, suffix)
