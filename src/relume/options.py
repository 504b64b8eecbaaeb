"""Options of an enhancement, shared by the command line and the Python API under the same names."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Literal, TypeAlias, TypedDict

from relume.errors import UsageError

DEFAULT_MODEL = "photo"
DEFAULT_TILE = 2048

Strength: TypeAlias = float | Literal["auto"]
Downsample: TypeAlias = int | Literal["auto"]

LOOK, FILES, SPEED = "Look", "Files", "Speed"
"""Panels that commands group their options in."""


@dataclass(frozen=True)
class Told:
    """What commands tell of a field that they offer as an option.

    Attributes:
        help: one sentence.
        panel: where it stands.
        metavar: what stands for its value; "" for the name of its type.
        default: what to show as its default; "" for the default itself.
    """

    help: str
    panel: str
    metavar: str = ""
    default: str = ""


def _told(help: str, panel: str, metavar: str = "", default: str = "") -> dict[str, Told]:  # noqa: A002
    return {"told": Told(help, panel, metavar, default)}


@dataclass(frozen=True)
class Controls:
    """What a photo is to look like. The defaults are safe for any photo; `MODEL_ALONE` is the network itself.

    A *gain* g brightens by `g x / (1 + (g - 1) x)`, which keeps black and white; log2 of it counts in stops.

    Attributes:
        strength: how much of the change is kept, from 0 (the input, bit for bit) to 1. `auto` keeps all of it
            for a dark photo, none for a well-lit one, and something between for those between; it never
            makes a photo darker. A frame that is all but black stays so, and what would hardly become
            brighter, such as a night, is left alone, as is a sky of stars. Where `exposure` is given, `auto`
            is 1.
        denoise: how much of what the network does beyond brightening (it removes noise and restores colour)
            is kept: 1 all; 0 nothing, the photo is brightened alone, by one gain per channel and by the gains
            of each place, to the mean that the network gives it.
        exposure: mean brightness of the result at strength 1, from 0 to 1 (Rec. 601 luma of sRGB values),
            met within 0.03 by one more gain for all channels, unless a highlight guard keeps a bright photo
            from getting darker; None leaves it to the network.
        highlight_guard: how much room stays above what becomes bright for what was brighter, from 0 (none)
            to 1. At 1 what had 5 of 255 levels becomes at most 187, 76 at most 200, 204 at most 228; at 0.5,
            the default, 245, 246 and 248; the limit rises with a pixel's own brightness. No channel falls
            below what a gain of 0.7 makes of it (times twice the guard where that is below 0.5), so lights
            keep their colour.
        colour_guard: how far the channels may part, from 0 (as far as the network wants) to 1 (not at all:
            grey stays grey). At c the channels' gains, in stops, differ by at most (1 - c) / c of their mean,
            a third by default. A difference of s stops keeps the share s / (s + c / (10 - 10 c)) of itself,
            half at 0.3 stops by default: a small one is rather an error than the colour of the light.

    Raises:
        UsageError: a value out of range.
    """

    strength: Strength = field(
        default="auto",
        metadata=_told(
            "How much of the change to keep: 0 none, 1 all; auto: all for a dark photo, none for a well-lit "
            "one.",
            LOOK,
            "auto|0..1",
        ),
    )
    denoise: float = field(
        default=1.0,
        metadata=_told("How much to do beyond brightening (noise, colour): 0 nothing, 1 all.", LOOK),
    )
    exposure: float | None = field(
        default=None,
        metadata=_told("Mean brightness of the result, 0 to 1.", LOOK, default="what the network chooses"),
    )
    highlight_guard: float = field(
        default=0.5,
        metadata=_told(
            "How much room is left above brightened places for lamps and skies: 0 none, 1 most.", LOOK
        ),
    )
    colour_guard: float = field(
        default=0.75,
        metadata=_told(
            "How alike the colour channels are brightened: 0 as the network wants, 1 all alike.", LOOK
        ),
    )

    def __post_init__(self) -> None:
        for each in fields(Controls):
            value = getattr(self, each.name)
            if value != each.default:
                _check_share(each.name, value)


class ControlKeywords(TypedDict, total=False):
    """The fields of `Controls` as keywords of functions."""

    strength: Strength
    denoise: float
    exposure: float | None
    highlight_guard: float
    colour_guard: float


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

ENGINES = ("onnxruntime", "openvino")
"""That run the networks."""

BFLOAT16 = "bfloat16"
"""A precision that no model's card need have: engines compute the graphs of single precision in it."""

MOST_THREADS = 1024


@dataclass(frozen=True)
class EnhanceOptions(Controls):
    """How a photo is enhanced: the `Controls`, and how they are computed.

    >>> from relume import EnhanceOptions
    >>> EnhanceOptions(strength=0.6, threads=2).controls.strength
    0.6

    Attributes:
        model: name of a shipped model (`relume models` lists them), or the card (a `.json` file) of an
            exported one.
        engine: what runs the networks, `onnxruntime` or, with the extra, `openvino`, on the CPU.
        precision: of the networks: `float32`, or another that the model's card has, such as `int8`; with
            OpenVINO also `bfloat16`, where the processor has it. `auto` takes `int8` where the card has it
            and the processor is made for it, as far as is known.
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

    model: str = field(
        default=DEFAULT_MODEL, metadata=_told("Model to use; `relume models` lists them.", LOOK)
    )
    engine: str = field(default="onnxruntime", metadata=_told("onnxruntime, or openvino (an extra).", SPEED))
    precision: str = field(
        default="auto",
        metadata=_told(
            "auto, float32, int8 or, with OpenVINO, bfloat16; auto: int8 where model and processor have it.",
            SPEED,
        ),
    )
    device: str = field(default="auto", metadata=_told("auto, cpu, cuda, coreml or directml.", SPEED))
    threads: int = field(
        default=0, metadata=_told("CPU threads; 0 takes all that the process may use.", SPEED)
    )
    tile: int = field(
        default=DEFAULT_TILE,
        metadata=_told("Side of the tiles; smaller: less memory, the same picture; 0: none.", SPEED),
    )
    downsample: Downsample = field(
        default="auto",
        metadata=_told(
            "Factor by which the network sees the photo reduced; auto: 2 from 8 megapixels on.",
            SPEED,
            "auto|1..4",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_count(self.threads) or self.threads > MOST_THREADS:
            raise UsageError(
                f"threads is {self.threads!r}", f"Give 1 to {MOST_THREADS} threads, or 0 for all."
            )
        if self.engine not in ENGINES:
            raise UsageError(f"engine is {self.engine!r}", f"Give {' or '.join(ENGINES)}.")
        if not _is_count(self.tile):
            raise UsageError(f"tile is {self.tile!r}", "Give a side in pixels, or 0 for the whole photo.")
        if self.downsample not in ("auto", 1, 2, 3, 4) or isinstance(self.downsample, bool | float):
            raise UsageError(f"downsample is {self.downsample}", "Give auto, 1, 2, 3 or 4.")

    @property
    def controls(self) -> Controls:
        """The part that says what the result looks like."""
        return Controls(**{each.name: getattr(self, each.name) for each in fields(Controls)})


@dataclass(frozen=True)
class Saving:
    """How a result is saved.

    Attributes:
        format: name of a format for all results; "" keeps each input's.
        quality: 1..100 for lossy formats; None for each format's default.
        strip: leave all metadata out.

    Raises:
        UsageError: a quality out of range.
    """

    format: str = field(default="", metadata=_told("Write jpeg, png, webp, tiff or avif.", FILES))
    quality: int | None = field(
        default=None, metadata=_told("1 to 100; without it JPEG 95, WebP 90, AVIF 80.", FILES)
    )
    strip: bool = field(
        default=False, metadata=_told("Leave out EXIF, GPS, XMP, IPTC, comments and profiles.", FILES)
    )

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"quality is {self.quality}", "Give a quality from 1 to 100.")


class EnhanceKeywords(ControlKeywords, total=False):
    """The fields of `EnhanceOptions` as keywords of functions."""

    model: str | os.PathLike[str]
    engine: str
    precision: str
    device: str
    threads: int
    tile: int
    downsample: Downsample
