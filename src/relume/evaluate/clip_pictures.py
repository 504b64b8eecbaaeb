"""Pictures of clips for an evaluation: as they are stored, as relume enhances them, and side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from relume.enhancer import Enhancer
from relume.errors import DataError
from relume.options import Controls, Downsample
from relume.video.clip import automatic_factor, pictures, sights
from relume.video.coding import Converter
from relume.video.frames import Moment, Packet, open_clip
from relume.video.smooth import Smoother

Pictures: TypeAlias = Iterator[tuple[float, npt.NDArray[Any]]]
"""Seconds, and pixels H x W x 3, of each picture."""

_ONE_LENGTH = "Compare clips of one length."


def stored(path: Path) -> Pictures:
    """The pictures of a clip as it is stored."""
    with open_clip(path) as source:
        converter = Converter(source.coding)
        for item in source.items():
            if isinstance(item, Moment):
                yield item.seconds, converter.photo(item.frame).rgb_HWC


def enhanced(
    path: Path, model: str, controls: Controls, smooth: float, downsample: Downsample, threads: int
) -> Pictures:
    """The pictures of a clip as `relume video` makes them, before they are encoded.

    Args:
        smooth: see `relume.video.clip.ClipOptions`.
    """
    with open_clip(path) as source:
        factor = automatic_factor(source.width, source.height) if downsample == "auto" else downsample
        enhancer = Enhancer(model, downsample=factor, threads=threads)
        seen = sights(source, enhancer, controls)
        for item in pictures(seen, Smoother(smooth), enhancer, Converter(source.coding)):
            if not isinstance(item, Packet):
                yield item[0].seconds, item[2].rgb_HWC


def paired(
    results: Pictures, references: Pictures, path: Path, progress: Callable[[int, int], None]
) -> Iterator[tuple[float, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Results with their references: seconds, and pixels of both.

    Args:
        path: the clip that the references are from.
        progress: called with how many pictures are done, and how many there are, about.

    Raises:
        DataError: one holds more pictures than the other.
    """
    expected = _expected(path)
    for number, (seconds, picture) in enumerate(results, 1):
        reference = next(references, None)
        if reference is None:
            raise DataError("has fewer pictures than the result", _ONE_LENGTH, path=path)
        progress(number, max(number, expected))
        yield seconds, picture, reference[1]
    if next(references, None) is not None:
        raise DataError("has more pictures than the result", _ONE_LENGTH, path=path)


def _expected(path: Path) -> int:
    """How many pictures a clip holds, about."""
    with open_clip(path) as source:
        return source.expected or 0
