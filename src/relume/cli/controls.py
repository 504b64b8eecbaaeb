"""How a photo is enhanced, as options of a command; `Controls` and `EnhanceOptions` say what each means."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from relume.options import Controls, Downsample, Strength

StrengthOption = Annotated[
    str,
    typer.Option(
        metavar="auto|0..1",
        help="How much of the change to keep: 0 none, 1 all; auto: all for a dark photo, "
        "none for a well-lit one.",
    ),
]
DenoiseOption = Annotated[
    float, typer.Option(help="How much to do beyond brightening (noise, colour): 0 nothing, 1 all.")
]
ExposureOption = Annotated[
    float | None,
    typer.Option(help="Mean brightness of the result, 0 to 1.", show_default="what the network chooses"),
]
HighlightOption = Annotated[
    float, typer.Option(help="How much of what is bright already stays as it is: 0 to 1.")
]
ColourOption = Annotated[
    float,
    typer.Option(help="How alike the colour channels are brightened: 0 as the network wants, 1 all alike."),
]

DownsampleOption = Annotated[
    str,
    typer.Option(
        metavar="auto|1..4",
        help="Factor by which the network sees the photo reduced; auto: 2 from 8 megapixels on.",
    ),
]

ModelOption = Annotated[str, typer.Option(help="Model to use; `relume models` lists them.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, coreml or directml.")]
ThreadsOption = Annotated[int, typer.Option(help="CPU threads; 0 takes all that the process may use.")]
TileOption = Annotated[
    int, typer.Option(help="Side of the tiles; smaller: less memory, the same picture; 0: none.")
]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders of folders.")]
SkipOption = Annotated[bool, typer.Option("--skip-existing", help="Leave results alone that exist.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Report errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show where in the program an input failed.")]


def controls(
    strength: str, denoise: float, exposure: float | None, highlight_guard: float, colour_guard: float
) -> Controls:
    """The options as one value.

    Raises:
        UsageError: a value out of range.
    """
    return Controls(_strength(strength), denoise, exposure, highlight_guard, colour_guard)


def _strength(text: str) -> Strength:
    try:
        return float(text)
    except ValueError:
        return cast(Strength, text)  # Controls refuses all but `auto`


def downsample_factor(text: str) -> Downsample:
    """The option as a value; `EnhanceOptions` refuses all but `auto` and its numbers."""
    return int(text) if text.isdecimal() else cast(Downsample, text)
