"""Options of an enhancement, shared by the command line and the Python API under the same names."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Literal, TypeAlias

from relume.errors import UsageError

DEFAULT_MODEL = "photo"
DEFAULT_TILE = 2048

Strength: TypeAlias = float | Literal["auto"]
Downsample: TypeAlias = int | Literal["auto"]


@dataclass(frozen=True)
class Controls:
    """What a photo is to look like. The defaults are safe for any photo; `MODEL_ALONE` is the network itself.

    A *gain* g brightens by `g x / (1 + (g - 1) x)`, which keeps black and white; log2 of it counts in stops.

    Attributes:
        strength: how much of the change is kept, from 0 (the input, bit for bit) to 1. `auto` keeps all of it
            for a dark photo, none for a well-lit one, and something between for those between; it never
            makes a photo darker. Where `exposure` is given, `auto` is 1.
        denoise: how much of what the network does beyond brightening (it removes noise, restores colour and
            brightens places differently) is kept: 1 all; 0 nothing, each channel is brightened by one gain
            for the whole photo, to the mean that the network gives it.
        exposure: mean brightness of the result at strength 1, from 0 to 1 (Rec. 601 luma of sRGB values),
            met up to a few hundredths; None leaves it to the network. Out of reach are means that would need
            clipping.
        highlight_guard: how much of what is bright already stays as it is, from 0 (nothing) to 1. At 1 a
            pixel whose largest channel is m keeps the share m^3 of itself, so what is bright but not clipped
            stays so.
        colour_guard: how far the channels may part, from 0 (as far as the network wants) to 1 (not at all:
            grey stays grey). At c the channels' gains, in stops, differ by at most (1 - c) / c of their mean,
            a third by default. A difference of s stops keeps the share s / (s + c / (10 - 10 c)) of itself,
            half at 0.3 stops by default: a small one is rather an error than the colour of the light.

    Raises:
        UsageError: a value out of range.
    """

    strength: Strength = "auto"
    denoise: float = 1.0
    exposure: float | None = None
    highlight_guard: float = 1.0
    colour_guard: float = 0.75

    def __post_init__(self) -> None:
        for field in fields(Controls):
            value = getattr(self, field.name)
            if value != field.default:
                _check_share(field.name, value)


def _check_share(name: str, value: object) -> None:
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        choice = " or auto" if name == "strength" else ""
        shown = name.replace("_", "-")
        raise UsageError(f"{shown} is {value}", f"Give a number from 0 to 1{choice}.")


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 0


MODEL_ALONE = Controls(strength=1.0, highlight_guard=0.0, colour_guard=0.0)
"""What the network returns and nothing else, as measurements of a model need it."""


DEFAULT_MAX_PIXELS = 200_000_000
"""Most pixels of a photo, since a small file can claim any size."""

_MOST_THREADS = 1024


@dataclass(frozen=True)
class EnhanceOptions(Controls):
    """How a photo is enhanced: the `Controls`, and how they are computed.

    Attributes:
        model: name of a shipped model (`relume models` lists them), or the card (a `.json` file) of an
            exported one.
        device: `auto`, `cpu`, `cuda`, `coreml` or `directml`, as far as ONNX Runtime has it.
        threads: CPU threads, at most 1024; 0 takes as many as the process may use: its affinity, and the
            quota of a container.
        tile: side of the tiles that large photos are cut into, in pixels that the network sees. It bounds
            memory and does not change the result; 0 takes the whole photo at once.
        downsample: factor by which the network sees the photo reduced, 1 to 4; its result is brought to full
            resolution by a guided filter. 2 takes less than half the time of 1. `auto` is 2 from 8
            megapixels on, 1 below.

    Raises:
        UsageError: a value out of range.
    """

    model: str = DEFAULT_MODEL
    device: str = "auto"
    threads: int = 0
    tile: int = DEFAULT_TILE
    downsample: Downsample = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_count(self.threads) or self.threads > _MOST_THREADS:
            raise UsageError(
                f"threads is {self.threads!r}", f"Give 1 to {_MOST_THREADS} threads, or 0 for all."
            )
        if not _is_count(self.tile):
            raise UsageError(f"tile is {self.tile!r}", "Give a side in pixels, or 0 for the whole photo.")
        if self.downsample not in ("auto", 1, 2, 3, 4) or isinstance(self.downsample, bool | float):
            raise UsageError(f"downsample is {self.downsample}", "Give auto, 1, 2, 3 or 4.")

    @property
    def controls(self) -> Controls:
        """The part that says what the result looks like."""
        return Controls(**{field.name: getattr(self, field.name) for field in fields(Controls)})
