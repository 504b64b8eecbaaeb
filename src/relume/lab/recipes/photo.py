"""The general model `photo`: the default network on real pairs of two sets and on synthetic darkness."""

from __future__ import annotations

from relume.lab.darkness import DAYLIGHT, Darkness
from relume.lab.recipe import Data, Optimizer, Phase, Recipe, Source

_LOL = ("lol_v1/our485", "our485_scenes")
_SICE = ("sice_part1", "sice_scenes")
_BRIGHT = 0.35
# Its two images do not show the same pixels.
_MISALIGNED = ("648",)
# Agreement below 0.7 (docs/data.md): the dark frame has lost what the target shows.
_LOST = ("2", "3", "1165", "1166", "1446", "1447", "1448", "1676", "1726")


def photo() -> Recipe:
    """LOL-v1 and SICE as photographed, their well-lit frames darkened, and the same left as they are.

    LOL-v1 is one camera in few rooms, and always dark: a network that saw nothing else brightens whatever it
    gets. SICE adds other cameras and daylight, synthesis all that is drawn from `Darkness`, and what is well
    lit already teaches to leave such photos alone. Well-lit frames of a mean below 0.35 are no example of
    that and are not used for it. Brightening stays in the exposure curve, so that its gains mean something.
    """
    return Recipe(
        name="photo",
        losses={"charbonnier": 1.0, "ssim": 0.5, "brightening": 0.2},
        phases=(Phase(6000, 128, 16), Phase(3000, 192, 12), Phase(2000, 256, 8)),
        data=Data(
            exposure_jitter=0.5,
            sources=(
                Source("lol", "pairs", _LOL[0], 0.35, _LOL[1], skip=_MISALIGNED),
                Source("sice", "pairs", _SICE[0], 0.20, _SICE[1], skip=_LOST),
                *_from_well_lit("darkened", 0.18, 0.15, Darkness()),
                *_from_well_lit("daylight", 0.02, 0.02, DAYLIGHT),
                *_from_well_lit("identity", 0.04, 0.04),
            ),
        ),
        optimizer=Optimizer(lr=1e-3),
        validation_images=48,
    )


def _from_well_lit(name: str, lol: float, sice: float, darkness: Darkness | None = None) -> list[Source]:
    """A source for the well-lit frames of each set, with these shares; as they are without `darkness`."""
    return [
        Source(name, "darkened", *one, least_mean=_BRIGHT, darkness=darkness)
        if darkness
        else Source(name, "identity", *one, least_mean=_BRIGHT)
        for one in ((_LOL[0], lol, _LOL[1]), (_SICE[0], sice, _SICE[1]))
    ]
