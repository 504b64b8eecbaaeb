"""The Python API: load a model once, enhance many photos."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from relume.engine import OnnxEngine
from relume.errors import UsageError
from relume.look.decide import decide
from relume.look.look import Look
from relume.look.model import Model
from relume.look.render import render
from relume.options import DEFAULT_MODEL, DEFAULT_TILE, Controls, Downsample, EnhanceOptions, Strength
from relume.photo import Photo, read_photo
from relume.zoo import Card, load_card, load_graph

Array = npt.NDArray[Any]
Image = TypeVar("Image", Photo, Array)

_AS_BY_DEFAULT = Controls()

_BEYOND = 1
"""How far floats may leave [0, 1], as filters let them, and are clipped; farther ones mean another range."""


class Enhancer:
    """A loaded model; thread-safe, so that one serves a whole program.

    >>> enhancer = Enhancer()
    >>> write_photo(enhancer.enhance(read_photo("night.jpg")), "night.relume.jpg")

    Args:
        model: name of a shipped model, or the card (a `.json` file) of an exported one.
        device, threads, tile, downsample: see `EnhanceOptions`.

    Raises:
        ModelError: no such model, or its files are damaged.
        UsageError: no such device, or a value out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str = "auto",
        threads: int = 0,
        tile: int = DEFAULT_TILE,
        downsample: Downsample = "auto",
    ) -> None:
        self.options = EnhanceOptions(
            model=os.fspath(model), device=device, threads=threads, tile=tile, downsample=downsample
        )
        self.card: Card = load_card(self.options.model)
        first = self.card.global_graph
        self._model = Model(
            self.card, self._load(first) if first else None, self._load(self.card.local_graph)
        )

    def _load(self, file_name: str) -> OnnxEngine:
        graph = load_graph(self.options.model, self.card, file_name)
        return OnnxEngine(graph, device=self.options.device, threads=self.options.threads)

    def enhance(
        self,
        photo: Image,
        *,
        strength: Strength = Controls.strength,
        denoise: float = Controls.denoise,
        exposure: float | None = Controls.exposure,
        highlight_guard: float = Controls.highlight_guard,
        colour_guard: float = Controls.colour_guard,
    ) -> Image:
        """Enhance a photo; the result has the same size, depth and type.

        Args:
            photo: a `Photo`, or sRGB pixels H x W x 3 as uint8 or uint16 over their whole range, or as
                floats in [0, 1] (computed in 16 bits; a little beyond is clipped).
            strength, denoise, exposure, highlight_guard, colour_guard: see `Controls`. Where the strength is
                0, given or found by `auto`, the photo itself is returned.

        Raises:
            UsageError: an option out of range, or an array that is no image.
            InputTooLarge: more than memory holds.
        """
        controls = Controls(strength, denoise, exposure, highlight_guard, colour_guard)
        if isinstance(photo, Photo):
            return self._enhance(photo, controls)
        before = Photo(_to_integers(photo))
        after = self._enhance(before, controls)
        if after is before:
            return photo
        pixels = after.rgb_HWC
        return (pixels / 65535).astype(photo.dtype) if photo.dtype.kind == "f" else pixels

    def _enhance(self, photo: Photo, controls: Controls) -> Photo:
        return self.render(photo, self.decide(photo, controls))

    def decide(self, photo: Photo, controls: Controls = _AS_BY_DEFAULT) -> Look:
        """Find out what a photo needs, without doing it; see `relume.look.decide`."""
        return decide(photo, self._model, controls, self.options.downsample)

    def render(self, photo: Photo, look: Look) -> Photo:
        """Carry out a look that this enhancer decided on; see `relume.look.render`.

        Raises:
            InputTooLarge: more than memory holds.
        """
        return render(photo, self._model, look, tile=self.options.tile, threads=self.options.threads)


def load_enhancer(options: EnhanceOptions) -> Enhancer:
    """An `Enhancer` as options ask for; their controls are for `Enhancer.enhance`.

    Raises:
        ModelError, UsageError: as `Enhancer`.
    """
    return Enhancer(
        options.model,
        device=options.device,
        threads=options.threads,
        tile=options.tile,
        downsample=options.downsample,
    )


def _to_integers(image: object) -> Array:
    if not isinstance(image, np.ndarray):
        raise UsageError(f"a {type(image).__name__} is no photo", "Give a Photo or a NumPy array.")
    array = cast(Array, image)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise UsageError(f"an array of shape {array.shape} is no RGB image", "Give height x width x 3.")
    if array.dtype.name in ("uint8", "uint16"):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise UsageError(f"pixels are {array.dtype}", "Give uint8, uint16, or floats in [0, 1].")
    low, high = array.min(), array.max()
    if not (low >= -_BEYOND and high <= 1 + _BEYOND):  # not a number is neither
        raise UsageError(f"pixels go from {low} to {high}", "Give floats in [0, 1], or uint8 or uint16.")
    wide = array.astype(np.promote_types(array.dtype, np.float32), copy=False)  # 65535 is beyond float16
    return np.rint(np.clip(wide, 0, 1) * 65535).astype(np.uint16)


@overload
def enhance(image: str | os.PathLike[str] | Photo, **options: Any) -> Photo: ...
@overload
def enhance(image: Array, **options: Any) -> Array: ...


def enhance(image: str | os.PathLike[str] | Photo | Array, **options: Any) -> Photo | Array:
    """Enhance one image; for many, keep an `Enhancer`.

    >>> photo = relume.enhance("night.jpg", strength=0.8)

    Args:
        image: a file, a `Photo`, or an array as for `Enhancer.enhance`.
        options: the fields of `EnhanceOptions`.

    Returns:
        A `Photo` for a file or a `Photo`; an array for an array.

    Raises:
        RelumeError: what reading, the model or the options refuse.
    """
    try:
        chosen = EnhanceOptions(**options)
    except TypeError as error:
        raise UsageError(
            str(error), f"Options are: {', '.join(EnhanceOptions.__dataclass_fields__)}."
        ) from None
    enhancer = load_enhancer(chosen)
    if isinstance(image, str | os.PathLike):
        image = read_photo(image)
    if isinstance(image, Photo):
        return enhancer.enhance(image, **asdict(chosen.controls))
    return enhancer.enhance(image, **asdict(chosen.controls))
