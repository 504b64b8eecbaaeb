"""The steps around a network as the page's private mode runs them: on tiles of pixels of 8 bits.

As `relume.lab.graphs`, but a photo is never held as floats: it comes and goes in integers, row by row of the
thumbnail and tile by tile. The page cuts and joins; everything that is computed on pixels is in a graph. The
glue here stands for `relume.look.render` and does what that does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relume.colour import luma
from relume.lab.graphs import traced_step
from relume.lab.tracing import trace
from relume.steps.controls import Adjustment, Change, adjust
from relume.steps.guided_filter import area_mean, interleaved, model_of, transfer
from relume.steps.thumbnail import row_of_cells, weighed_means

TOP = 255
"""Pixels are integers of 8 bits, as browsers have them: H x W x 4, red, green, blue and opacity."""

FACTORS = (1, 2)
"""By how much the local pass may see a photo reduced."""

_FREE = torch.export.Dim.DYNAMIC


@dataclass(frozen=True)
class _Step:
    """What becomes a graph: a module, examples of its inputs, names of its outputs, and its free axes."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    sizes: Mapping[str, Any]


def page_graphs() -> dict[str, bytes]:
    """The serialised graphs by name.

    - `cells`: rows of pixels to the sums of one row of the thumbnail's cells.
    - `overview`: those sums to the thumbnail that the global pass sees.
    - `part`: rows and columns of an image by their numbers, in any order.
    - `settle`: that of `relume.lab.graphs`.
    - `prepare.1`, `prepare.2`: pixels of a tile to what the local pass sees of it, reduced by the factor.
    - `finish.1`, `finish.2`: what the local pass returned to pixels of full resolution.
    """
    graphs = {name: trace(step.module, step.inputs, step.outputs, step.sizes) for name, step in _steps()}
    return {
        name: graph.SerializeToString() for name, graph in {**graphs, "settle": traced_step("settle")}.items()
    }


def _steps() -> Iterator[tuple[str, _Step]]:
    yield "cells", _cells()
    yield "overview", _overview()
    yield (
        "part",
        _Step(
            _Part(),
            {"image": _image(8, 10), "rows": torch.arange(6), "columns": torch.arange(7)},
            ("part",),
            {"image": {1: _FREE, 2: _FREE, 3: _FREE}, "rows": {0: _FREE}, "columns": {0: _FREE}},
        ),
    )
    for factor in FACTORS:
        yield f"prepare.{factor}", _prepare(factor)
        yield f"finish.{factor}", _finish(factor)


class _Cells(nn.Module):
    def forward(self, pixels: Tensor, opaque: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        planes = pixels.permute(2, 0, 1).double()
        # Where all is opaque, or nothing is to be seen, every pixel counts the same.
        return row_of_cells(planes[:3], torch.where(opaque > 0, 1.0, planes[3]), cells)


def _cells() -> _Step:
    inputs = {"pixels": _pixels(6, 40), "opaque": torch.ones(()), "cells": torch.arange(8)}
    sizes = {"pixels": {0: _FREE, 1: _FREE}, "opaque": None, "cells": {0: _FREE}}
    return _Step(_Cells(), inputs, ("sums", "weights"), sizes)


class _Overview(nn.Module):
    def forward(self, sums: Tensor, weights: Tensor) -> Tensor:
        return weighed_means(sums, weights, TOP)[None]


def _overview() -> _Step:
    inputs = {"sums": torch.ones(3, 16, 24).double(), "weights": torch.ones(16, 24).double()}
    sizes = {"sums": {1: _FREE, 2: _FREE}, "weights": {0: _FREE, 1: _FREE}}
    return _Step(_Overview(), inputs, ("thumbnail",), sizes)


class _Part(nn.Module):
    def forward(self, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return _part(image, rows, columns)


class _Prepare(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return _part(area_mean(pixels[..., :3], self.factor), rows, columns)[None]


def _prepare(factor: int) -> _Step:
    inputs = {
        "pixels": _pixels(8 * factor, 10 * factor),
        "rows": torch.arange(8),
        "columns": torch.arange(10),
    }
    sides = [factor * torch.export.Dim(name, min=2) for name in ("height", "width")]
    pixels = dict(enumerate(sides)) if factor > 1 else {0: _FREE, 1: _FREE}
    sizes = {"pixels": pixels, "rows": {0: _FREE}, "columns": {0: _FREE}}
    return _Step(_Prepare(factor), inputs, ("image",), sizes)


class _Finish(nn.Module):
    """At full resolution; `seen_rows` and `seen_columns` leave out what was repeated beyond the photo.

    A reduced photo takes the guided filter, for which more is seen than the part that `rows` and `columns` of
    the linear model are for.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(
        self,
        pixels: Tensor,
        image: Tensor,
        enhanced: Tensor,
        local_gain: Tensor,
        seen_rows: Tensor,
        seen_columns: Tensor,
        gain: Tensor,
        correction: Tensor,
        strength: Tensor,
        denoise: Tensor,
        highlight_guard: Tensor,
        grey: Tensor,
        rows: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> Tensor:
        adjustment = Adjustment(strength, denoise, highlight_guard, gain, correction)
        seen = Change(*(_part(each[0], seen_rows, seen_columns) for each in (image, enhanced, local_gain)))
        if rows is None or columns is None:
            result_HW3 = _to_pixels(adjust(seen, adjustment), grey)
        else:
            model_5HW = _part(model_of(seen, gain), rows, columns)
            result_HW3 = self._full(pixels, model_5HW, adjustment, grey)
        return torch.cat([result_HW3, pixels[..., 3:]], -1)

    def _full(self, pixels: Tensor, model_5HW: Tensor, adjustment: Adjustment, grey: Tensor) -> Tensor:
        phases: list[Tensor] = []
        for down, right, there_5HW in interleaved(model_5HW, self.factor):
            before_3HW = area_mean(pixels[down, right, :3], 1)
            there = transfer(before_3HW, there_5HW, adjustment.gain_C)
            phases.append(_to_pixels(adjust(there, adjustment), grey))
        height, width = (length - 2 for length in model_5HW.shape[1:])
        squares = torch.stack(phases).reshape(self.factor, self.factor, height, width, 3)
        return squares.permute(2, 1, 3, 0, 4).reshape(self.factor * height, self.factor * width, 3)


def _finish(factor: int) -> _Step:
    seen = (12, 14) if factor == 1 else (16, 18)
    inputs = {
        "pixels": _pixels(12 * factor, 14 * factor),
        "image": 0.2 * _image(20, 24),
        "enhanced": _image(20, 24),
        "local_gain": _image(20, 24)[:, :1],
        "seen_rows": torch.arange(seen[0]),
        "seen_columns": torch.arange(seen[1]),
        "gain": torch.tensor([2.0, 3.0, 4.0]).double(),
        "correction": torch.ones(3).double(),
    }
    inputs |= {"strength": torch.tensor(0.5).double()}
    inputs |= {name: torch.tensor(0.5) for name in ("denoise", "highlight_guard")}
    inputs["grey"] = torch.zeros(())
    sizes: dict[str, Any] = dict.fromkeys(inputs)
    sizes |= {name: {2: _FREE, 3: _FREE} for name in ("image", "enhanced", "local_gain")}
    inner = [torch.export.Dim(name, min=3) for name in ("inner_rows", "inner_columns")]
    if factor == 1:
        sizes |= {"seen_rows": {0: inner[0]}, "seen_columns": {0: inner[1]}, "pixels": dict(enumerate(inner))}
        return _Step(_Finish(1), inputs, ("result",), sizes)
    sizes |= {"seen_rows": {0: _FREE}, "seen_columns": {0: _FREE}}
    sizes["pixels"] = {axis: factor * each for axis, each in enumerate(inner)}
    # The linear model has one pixel more on each side of a part.
    inputs |= {"rows": torch.arange(14), "columns": torch.arange(16)}
    sizes |= {name: {0: each + 2} for name, each in zip(("rows", "columns"), inner, strict=True)}
    return _Step(_Finish(factor), inputs, ("result",), sizes)


def _part(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows and columns of ... x H x W by their numbers: a part, or more, back and forth."""
    return image.index_select(-2, rows).index_select(-1, columns)


def _to_pixels(image_3HW: Tensor, grey: Tensor) -> Tensor:
    """Values in [0, 1] as integers, H x W x 3; of a grey photo the luma alone."""
    shown_3HW = torch.where(grey > 0, luma(image_3HW)[None], image_3HW)
    return (shown_3HW * TOP + 0.5).to(torch.uint8).permute(1, 2, 0)


def _image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def _pixels(height: int, width: int) -> Tensor:
    return (TOP * _image(height, width)[0].permute(1, 2, 0)).to(torch.uint8)[..., [0, 1, 2, 0]]
