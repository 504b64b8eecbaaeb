"""The Python API: load a model once, enhance many photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from relume.engine import OnnxEngine
from relume.errors import UsageError
from relume.options import DEFAULT_MODEL, DEFAULT_TILE, EnhanceOptions
from relume.photo import Photo, read_photo
from relume.pipeline.enhance import enhance_photo
from relume.zoo import Card, load_card, load_graph

Array = npt.NDArray[Any]


class Enhancer:
    """A loaded model; thread-safe, so that one serves a whole program.

    >>> enhancer = Enhancer()
    >>> write_photo(enhancer.enhance(read_photo("night.jpg")), "night.relume.jpg")

    Args:
        model: name of a shipped model, or the card (a `.json` file) of an exported one.
        device, threads, tile: see `EnhanceOptions`.

    Raises:
        ModelError: no such model, or its files are damaged.
        UsageError: no such device, or a value out of range.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, device: str = "auto", threads: int = 0, tile: int = DEFAULT_TILE
    ) -> None:
        self.options = EnhanceOptions(model=model, device=device, threads=threads, tile=tile)
        self.card: Card = load_card(model)
        first = self.card.global_graph
        self._global = self._load(first) if first else None
        self._local = self._load(self.card.local_graph)

    def _load(self, file_name: str) -> OnnxEngine:
        graph = load_graph(self.options.model, self.card, file_name)
        return OnnxEngine(graph, device=self.options.device, threads=self.options.threads)

    @overload
    def enhance(self, photo: Photo, *, strength: float = 1.0) -> Photo: ...
    @overload
    def enhance(self, photo: Array, *, strength: float = 1.0) -> Array: ...

    def enhance(self, photo: Photo | Array, *, strength: float = 1.0) -> Photo | Array:
        """Enhance a photo; the result has the same size, depth and type.

        Args:
            photo: a `Photo`, or sRGB pixels H x W x 3 as uint8 or uint16 over their whole range, or as
                floats in [0, 1] (computed in 16 bits).
            strength: share of the change that is kept, from 0 (the input itself) to 1.

        Raises:
            UsageError: a strength out of range, or an array that is no image.
            InputTooLarge: more than memory holds.
        """
        EnhanceOptions(strength=strength)
        if isinstance(photo, Photo):
            return enhance_photo(
                photo, self.card, self._global, self._local, strength=strength, tile=self.options.tile
            )
        pixels = _to_integers(photo)
        if strength == 0:
            return photo
        result = self.enhance(Photo(pixels), strength=strength).rgb_HWC
        return (result / 65535).astype(photo.dtype) if photo.dtype.kind == "f" else result


def _to_integers(image: object) -> Array:
    if not isinstance(image, np.ndarray):
        raise UsageError(f"a {type(image).__name__} is no photo", "Give a Photo or a NumPy array.")
    array = cast(Array, image)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise UsageError(f"an array of shape {array.shape} is no RGB image", "Give height x width x 3.")
    if array.dtype.name in ("uint8", "uint16"):
        return array
    if array.dtype.kind != "f":
        raise UsageError(f"pixels are {array.dtype}", "Give uint8, uint16, or floats in [0, 1].")
    wide = array.astype(np.promote_types(array.dtype, np.float32), copy=False)  # 65535 is beyond float16
    return np.rint(np.clip(np.nan_to_num(wide), 0, 1) * 65535).astype(np.uint16)


@overload
def enhance(image: Path | str | Photo, **options: Any) -> Photo: ...
@overload
def enhance(image: Array, **options: Any) -> Array: ...


def enhance(image: Path | str | Photo | Array, **options: Any) -> Photo | Array:
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
    enhancer = Enhancer(chosen.model, device=chosen.device, threads=chosen.threads, tile=chosen.tile)
    photo = read_photo(image) if isinstance(image, Path | str) else image
    return enhancer.enhance(photo, strength=chosen.strength)
