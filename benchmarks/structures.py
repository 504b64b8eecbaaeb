"""What a global pass may answer, by brightening alone: one gain, a map, a grid of gains, a grid of matrices.

    python benchmarks/structures.py DATA [--steps 400] [--seeds 0,1,2]

DATA is the data root or the folder of a pack's parts. Small images of all photographed pairs of the recipe
`photo` are learnt from random weights, with the network's own trunk and no local pass: nothing is denoised,
and the same draws train each structure. `affine` is a bilateral grid of matrices of three rows and four
columns (Gharbi et al., "Deep Bilateral Learning for Real-Time Image Enhancement", SIGGRAPH 2017), which is
not held to any order of brightness; the other three are what `knots` chooses. Held-out scenes are scored,
plainly and with the mean put right. The table goes to standard output and `results/structures.csv`. About two
minutes of one core for each of the twelve runs.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import machine
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.datasets.pairs import Pair
from relume.evaluate.report import markdown_table
from relume.lab.data.paired import load_pairs, to_tensor, training_and_validation
from relume.lab.losses import ssim
from relume.lab.networks.layers import zeroed
from relume.lab.networks.two_pass import MEAN_FLOOR, GlobalPass, contrast_share, place
from relume.lab.recipes import get_recipe
from relume.steps.curve import exposure_curve
from relume.steps.grid import guide_of, slice_grid, tone
from relume.steps.thumbnail import overview_shape

SETS = ("lol", "sice", "fused")
KNOTS = {"one gain": 0, "map": 1, "bilateral": 6, "affine": 6}
SIDE, OVERVIEW, WINDOW, BATCH, RATE = 256, 128, (96, 128), 48, 1e-3


class Small(NamedTuple):
    """A pair, small: images of 3 x H x W in [0, 1]."""

    low_3HW: Tensor
    high_3HW: Tensor


class Gains(nn.Module):
    """One gain for a photo, and a map or a grid of gains if there are knots."""

    def __init__(self, knots: int) -> None:
        super().__init__()
        self.decide = GlobalPass(knots=knots)

    def forward(self, image_B3HW: Tensor, overview_B3ST: Tensor) -> Tensor:
        """The brightened images, as their overviews decide."""
        decision = self.decide(overview_B3ST)
        return tone(image_B3HW, decision.gain_BC, decision.grid_BKGG, place(image_B3HW, None)).bright


class Matrices(nn.Module):
    """One gain for a photo, then a matrix for each place and luma, which begins as the identity."""

    def __init__(self, knots: int, width: int = 64) -> None:
        super().__init__()
        self.decide = GlobalPass(knots=0)
        self.head = nn.Sequential(
            nn.LazyConv2d(width, 3, padding=1), nn.ReLU(), zeroed(nn.Conv2d(width, 12 * knots, 1))
        )

    def forward(self, image_B3HW: Tensor, overview_B3ST: Tensor) -> Tensor:
        """As for `Gains`."""
        gain_BC = self.decide(overview_B3ST).gain_BC
        mean_B111 = overview_B3ST.mean((1, 2, 3), keepdim=True).clamp_min(MEAN_FLOOR)
        fine = self.decide.fine(torch.log1p(overview_B3ST / mean_B111))
        coarse = F.interpolate(self.decide.coarse(fine), size=fine.shape[-2:])
        pooled = coarse.mean((2, 3), keepdim=True).expand_as(coarse)
        grid = self.head(torch.cat([fine, coarse, pooled], 1)) * contrast_share(overview_B3ST)
        bright = exposure_curve(image_B3HW, gain_BC[..., None, None])
        where = place(image_B3HW, None)[:, None]
        terms = slice_grid(guide_of(bright)[:, None], grid.unflatten(1, (12, -1)), where)[:, :, 0]
        matrix, offset = terms[:, :9].unflatten(1, (3, 3)), terms[:, 9:]
        return bright + (matrix * bright[:, None]).sum(2) + offset


def made(name: str) -> Gains | Matrices:
    """A structure by its name, with random weights."""
    return Matrices(KNOTS[name]) if name == "affine" else Gains(KNOTS[name])


def small(image_HWC: Any) -> Tensor:
    """An area average of at most `SIDE` pixels a side, whose sides are multiples of 8."""
    height, width, _ = image_HWC.shape
    return F.adaptive_avg_pool2d(to_tensor(image_HWC).float()[0], overview_shape(height, width, SIDE))


def photographed(roots: Sequence[Path]) -> tuple[list[Pair], list[Pair]]:
    """The photographed pairs of the recipe `photo`: those that are trained on, and those held out."""
    data = get_recipe("photo").data
    sources = tuple(each for each in data.sources if each.name in SETS)
    return training_and_validation(roots, replace(data, sources=sources))


def load(roots: Sequence[Path]) -> tuple[dict[str, list[Small]], dict[str, list[Small]]]:
    """Training's and held-out pairs by the name of their source."""
    parts: list[dict[str, list[Small]]] = []
    for pairs in photographed(roots):
        by_set: dict[str, list[Small]] = defaultdict(list)
        for pair in load_pairs(pairs):
            name = pair.source.name if pair.source else ""
            by_set[name].append(Small(small(pair.low_HWC), small(pair.high_HWC)))
        parts.append(by_set)
    return parts[0], parts[1]


def drawn(pairs: dict[str, list[Small]], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch of windows, some turned over, their exposure changed by up to 0.7 stops."""
    lows, highs = [], []
    for _ in range(BATCH):
        chosen = pairs[SETS[random.integers(len(SETS))]]
        both = torch.stack(chosen[random.integers(len(chosen))])
        height, width = both.shape[-2:]
        rows, columns = (int(length * random.uniform(0.5, 1)) for length in (height, width))
        top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
        window = both[..., top : top + rows, left : left + columns]
        window = window.flip(-1) if random.random() < 0.5 else window
        low, high = F.interpolate(window, WINDOW, mode="area")
        lows.append((low * 2 ** random.uniform(-0.7, 0.7)).clamp(0, 1))
        highs.append(high)
    return torch.stack(lows), torch.stack(highs)


def train(name: str, seed: int, steps: int, pairs: dict[str, list[Small]]) -> nn.Module:
    """A structure after so many steps."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = made(name)
    network(*[torch.zeros(2, 3, *WINDOW)] * 2)  # so that lazy layers know their inputs
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        low, high = drawn(pairs, random)
        loss = (network(low, low) - high).square().add(1e-5).sqrt().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def scores(network: nn.Module, pairs: Sequence[Small]) -> tuple[float, float, float]:
    """Means of PSNR, of PSNR with the mean put right, and of SSIM."""
    found: list[tuple[float, float, float]] = []
    for low, high in ((each.low_3HW[None], each.high_3HW[None]) for each in pairs):
        overview = F.adaptive_avg_pool2d(low, overview_shape(low.shape[-2], low.shape[-1], OVERVIEW))
        result = network(low, overview).clamp(0, 1)
        right = (result * (high.mean() / result.mean())).clamp(0, 1)
        plain, put_right = (-10 * (each - high).square().mean().log10().item() for each in (result, right))
        found.append((plain, put_right, ssim(result, high).item()))
    plain, put_right, similar = np.mean(found, 0).tolist()
    return plain, put_right, similar


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means and standard deviations of the seeds: PSNR, with the mean put right, and SSIM of each set."""
    lines = [["structure", "seeds", *(f"`{each}`" for each in SETS)]]
    for name in KNOTS:
        cells: list[str] = []
        for each in SETS:
            of = [row for row in rows if (row["structure"], row["set"]) == (name, each)]
            values = [np.array([float(row[key]) for row in of]) for key in ("psnr", "psnr_gt_mean", "ssim")]
            plain, put_right, similar = values
            spread = plain.std(ddof=1) if len(plain) > 1 else 0.0
            cells.append(f"{plain.mean():.2f} ± {spread:.2f} / {put_right.mean():.2f} / {similar.mean():.3f}")
        lines.append([name, str(len({row["seed"] for row in rows})), *cells])
    return markdown_table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine.facts()
    training, held_out = load(sorted(arguments.data.glob("part-*")) or [arguments.data])
    rows: list[dict[str, Any]] = []
    for seed in (int(each) for each in arguments.seeds.split(",")):
        for name in KNOTS:
            network = train(name, seed, arguments.steps, training)
            for each in SETS:
                keys = ("psnr", "psnr_gt_mean", "ssim")
                found = dict(
                    zip(keys, (round(value, 4) for value in scores(network, held_out[each])), strict=True)
                )
                rows.append({"structure": name, "seed": seed, "steps": arguments.steps, "set": each, **found})
            print(rows[-3:], flush=True)
    print(machine.store("structures", rows), table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
