"""The general model `photo`: the default network on real pairs of two sets and on synthetic darkness."""

from __future__ import annotations

from dataclasses import replace

from relume.lab.darkness import DAYLIGHT, NIGHT, SMOOTH, SPOT, WINDOW, Darkness
from relume.lab.recipe import Data, Optimizer, Phase, Recipe, Source

_LOL = ("lol_v1/our485", "our485_scenes")
_SICE = ("sice_part1", "sice_scenes")
_EXTRA = "sice_extra"
_BRIGHT = 0.35
_LONGEST = 1024
_SMALL = 384
# Its two images do not show the same pixels.
_MISALIGNED = ("648",)
# Agreement below 0.7 (docs/data.md): the dark frame has lost what the target shows.
_LOST = ("2", "3", "1165", "1166", "1446", "1447", "1448", "1676", "1726")


def photo() -> Recipe:
    """Photographs of several cameras, and clean ones darkened, so that any dark photo comes out well exposed.

    What people want to see is a picture that is well exposed everywhere, which no single frame of a bright
    window in a dark room is. So the largest share of real pairs has the fusion of a whole exposure series as
    its target. LOL-v1 is one camera in few rooms, and always dark; SICE adds other cameras and daylight;
    clean photographs under light of every kind add all that is drawn from `Darkness`. What is right as it is
    stays: well-lit photos, night scenes, dark screens. Gradients teach that steps of 8 bits are no edges.
    Well-lit frames of a mean below 0.35 are no example of that and are not used for it. Brightening stays in
    the exposure curve and the grid, so that their gains mean something.
    """
    return Recipe(
        name="photo",
        network_options={"leak": 0.1},
        losses={"charbonnier": 1.0, "ssim": 0.5, "brightening": 0.2},
        phases=(Phase(9000, 128, 64), Phase(6000, 192, 48), Phase(7000, 256, 32)),
        data=Data(
            exposure_jitter=0.5,
            sources=(
                Source("lol", "pairs", _LOL[0], 0.18, _LOL[1], skip=_MISALIGNED),
                Source("sice", "pairs", _SICE[0], 0.17, _SICE[1], skip=_LOST),
                Source("sice", "pairs", _EXTRA, 0.03, _SICE[1], "pairs.csv"),
                Source("fused", "pairs", _EXTRA, 0.22, _SICE[1], "pairs_fused.csv"),
                *_from_well_lit("darkened", 0.12, 0.03, 0.03, Darkness(back_lit=0.25)),
                *_from_well_lit("spots", 0.03, 0.0, 0.0, SPOT),
                *_from_well_lit("windows", 0.02, 0.0, 0.0, WINDOW),
                *_from_well_lit("daylight", 0.03, 0.0, 0.0, DAYLIGHT),
                *_from_well_lit("identity", 0.03, 0.01, 0.01),
                Source("nights", "nights", "", 0.07, "", darkness=NIGHT),
                Source("gradients", "gradients", "", 0.02, "", darkness=SMOOTH),
            ),
        ),
        optimizer=Optimizer(lr=1e-3),
        validation_images=60,
    )


def photo_settled() -> Recipe:
    """`photo` after a long run, its global pass settled: earlier weights decide for photographed pairs.

    Few scenes of SICE were photographed, and a long run remembers how bright the target of each is: held-out
    scenes lost more than a decibel in 22,760 steps, while all else still improved. The earlier weights are
    `relume lab soup runs/photo-before runs/photo --shares 0.8,0.2 -o runs/photo-between`, where
    `runs/photo-before` is what the long run started from. Minutes on a CPU.
    """
    recipe = photo()
    return replace(
        recipe,
        name="photo-settled",
        start="runs/photo",
        method="decisions",
        method_options={"photographed": {"run": "runs/photo-between"}},
        losses={"tone": 1.0, "gain": 0.02, "grid": 0.02, "condition": 0.5},
        phases=(Phase(1200, 16, 64),),
        optimizer=replace(recipe.optimizer, warmup=30),
        average=0.99,
        average_warmup=100,
        validate_every=600,
    )


def photo_rendered() -> Recipe:
    """`photo-settled` with its local pass taught further for those decisions, and for edges as in use."""
    recipe = photo()
    return replace(
        recipe,
        name="photo-rendered",
        start="runs/photo-settled",
        method="rendering",
        losses={"charbonnier": 1.0, "ssim": 1.0},
        phases=(Phase(4712, 128, 32), Phase(4349, 192, 16)),
        optimizer=replace(recipe.optimizer, lr=4e-4, warmup=100),
        average=0.998,
        average_warmup=300,
        validate_every=1000,
    )


def photo_nights() -> Recipe:
    """`photo` at last: its global pass taught that nights stay as they are, stars above all.

    To a thumbnail a starry sky of five levels and a dark room look alike but for the stars, which a long run
    with few nights among its pictures did not tell apart. All else is decided as before. It starts from the
    mean of two local passes, which scores better than either with the default settings: `relume lab soup
    runs/photo-settled runs/photo-rendered --shares 0.5,0.5 -o runs/photo-half`. Minutes on a CPU.
    """
    recipe = photo_settled()
    sources = tuple(
        replace(source, share=0.3 if source.name == "nights" else 0.75 * source.share)
        for source in recipe.data.sources
    )
    return replace(
        recipe,
        name="photo-nights",
        start="runs/photo-half",
        method_options={"photographed": {"run": "runs/photo-half"}, "alone": ["nights"]},
        data=replace(recipe.data, sources=sources),
    )


def photo_lit() -> Recipe:
    """`photo` with its global pass taught that what is in full light already stays as bright as it is.

    A face under a lamp, a screen or what a window shows is brightened as much as the dark around it. Here no
    earlier weights know better, so crops of such pictures are compared with their targets. Nights and single
    exposures are decided as before. Minutes on a CPU; thumbnails need no large images. Not shipped: see
    docs/laboratory.md.
    """
    recipe = photo_nights()
    lit = ("spots", "windows")
    others = [source for source in recipe.data.sources if source.name not in lit]
    rest = [replace(source, share=0.65 * source.share) for source in others]
    spots = (
        *_from_well_lit("spots", 0.2, 0.0, 0.0, SPOT),
        *_from_well_lit("windows", 0.15, 0.0, 0.0, WINDOW),
    )
    sources = tuple(
        source if source.kind == "pairs" or source.is_made else replace(source, longest=_SMALL)
        for source in (*rest, *spots)
    )
    return replace(
        recipe,
        name="photo-lit",
        start="runs/photo-shipped",
        method_options={
            "photographed": {"run": "runs/photo-shipped"},
            "alone": ["nights"],
            "targets": ["fused", "darkened", *lit],
        },
        losses={**recipe.losses, "target": 2.0},
        phases=(Phase(2000, 96, 48),),
        data=replace(recipe.data, sources=sources),
    )


def photo_best() -> Recipe:
    """`photo` with a local pass of six times the multiplications, for those who wait and as a teacher.

    It decides as `photo` does, and has grown from what is shipped as it: `relume lab grow runs/photo-shipped
    photo-best -o runs/photo-grown`.
    """
    recipe = photo_rendered()
    return replace(
        recipe,
        name="photo-best",
        network_options={**recipe.network_options, "widths": [32, 64, 128, 256], "depths": [2, 2, 2, 2]},
        start="runs/photo-grown",
        phases=(Phase(2800, 128, 32), Phase(1100, 192, 16)),
        optimizer=replace(recipe.optimizer, lr=6e-4),
        validate_every=1300,
    )


def photo_pruned() -> Recipe:
    """`photo` for a fifth of its steps at a third of the rate: fine-tuning after `relume prune`."""
    recipe = photo()
    return replace(
        recipe,
        name="photo-pruned",
        phases=(Phase(3000, 128, 64), Phase(1400, 192, 48)),
        optimizer=replace(recipe.optimizer, lr=3e-4, warmup=100),
    )


def _from_well_lit(
    name: str, clean: float, lol: float, sice: float, darkness: Darkness | None = None
) -> list[Source]:
    """A source for each set's well-lit frames, with these shares; as they are without `darkness`."""
    kind = "darkened" if darkness else "identity"
    how = darkness or Darkness()
    sets = (
        Source(name, kind, "clean", clean or 1, "", "clean.csv", _LONGEST, darkness=how),
        Source(name, kind, _LOL[0], lol or 1, _LOL[1], least_mean=_BRIGHT, darkness=how),
        Source(name, kind, _SICE[0], sice or 1, _SICE[1], least_mean=_BRIGHT, darkness=how),
    )
    return [source for source, share in zip(sets, (clean, lol, sice), strict=True) if share]
