"""Colour profiles: what is done to a photo's values when it is read, and undone when it is written.

What relume does to a photo is made for sRGB's curve; other primaries only look a little paler to it. So the
values of a profile of primaries and curves (Display P3, Adobe RGB, ProPhoto...) stay in their own primaries
and only take sRGB's curve: no colour is clipped. Profiles of tables are converted to sRGB, with relative
colorimetric intent and black point compensation, through libvips and lcms2.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from relume.colour import to_srgb as encoded
from relume.photo import vips
from relume.photo.photo import Metadata

_FIELD = "icc-profile-data"
_HOW: dict[str, Any] = {"intent": "relative", "black_point_compensation": True}
# A profile counts as sRGB when no colour moves further than this: 1.5 of 255 levels, here of 65535.
# The sRGB profiles in circulation differ from one another by less; a gamma of 2.2 differs by more.
_SRGB_TOLERANCE = 386


# Numbers of the parameters of a profile's parametric curves, by kind.
_PARAMETERS = (1, 3, 4, 5, 7)

Table: TypeAlias = npt.NDArray[np.uint16]


class Profile(Enum):
    """What a colour profile asks of relume."""

    SRGB = "leave the pixels alone, keep the profile"
    PRIMARIES = "give the pixels sRGB's curve on reading, their own on writing, keep the profile"
    TABLES = "convert to sRGB on reading, back on writing"
    ONE_WAY = "convert to sRGB on reading, cannot be converted back"
    GREY = "leave the pixels alone, keep the profile with a grey photo, convert where it cannot be kept"
    CMYK = "convert to sRGB on reading, drop the profile"
    BROKEN = "ignore"


_MOST_TAGS = 1000
_SPACES = {b"RGB ": Profile.TABLES, b"GRAY": Profile.GREY, b"CMYK": Profile.CMYK}


def _grid(space: Profile = Profile.TABLES) -> pyvips.Image:
    """Colours all over a space (with a ramp of greys in RGB), as a small 16-bit picture."""
    if space is Profile.GREY:
        return vips.wrap(np.arange(256, dtype=np.uint16)[None] * np.uint16(257))
    channels, count = (4, 5) if space is Profile.CMYK else (3, 9)
    steps = np.linspace(0, 255, count).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * channels), axis=-1).reshape(-1, channels)
    if channels == 3:
        ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        colours = np.concatenate([colours, ramp])
    grid = vips.wrap(colours[None].astype(np.uint16) * np.uint16(257))
    return grid.copy(interpretation="cmyk") if channels == 4 else grid


def _with_profile(image: pyvips.Image, icc: bytes) -> pyvips.Image:
    image = image.copy()
    vips.set_blob(image, _FIELD, icc)
    return image


@lru_cache(maxsize=32)
def judge(icc: bytes) -> Profile:
    """Find out what a profile does by trying it, not by its name: names are many and often wrong."""
    if len(icc) < 132 or icc[36:40] != b"acsp" or int.from_bytes(icc[:4], "big") > len(icc):
        return Profile.BROKEN
    space, tags = _SPACES.get(icc[16:20], Profile.BROKEN), _tags(icc)
    if space is Profile.BROKEN or not tags:
        return Profile.BROKEN
    if space is Profile.GREY and not tags.keys() & {b"kTRC", b"A2B0"}:
        return Profile.BROKEN  # for which libvips takes its own, whatever the stand-in
    # libvips silently takes the stand-in where the profile does not load, so two different ones show
    # whether it did.
    stand_ins = ("cmyk", "p3") if space is Profile.CMYK else ("srgb", "p3")
    grid = _grid(space)
    tried = [_computed(lambda name=name: to_srgb(grid, icc, stand_in=name)) for name in stand_ins]
    if tried[0] is None or tried[1] is None or not np.array_equal(tried[0], tried[1]):
        return Profile.BROKEN
    if space is not Profile.TABLES:
        return space
    plain = _grid().numpy().astype(np.int64)
    if int(np.abs(tried[0].astype(np.int64) - plain).max()) <= _SRGB_TOLERANCE:
        return Profile.SRGB
    if _curves(icc) is not None:
        return Profile.PRIMARIES
    return Profile.ONE_WAY if _computed(lambda: from_srgb(_grid(), icc)) is None else Profile.TABLES


@lru_cache(maxsize=8)
def _curves(icc: bytes) -> Table | None:
    """What sRGB's curve makes of the values 0..65535 of each channel, 3 x 65536.

    None for a profile of tables, and for one whose curves cannot be followed backwards.
    """
    tags = _tags(icc)
    names = (b"rTRC", b"gTRC", b"bTRC")
    if not {*names, b"rXYZ", b"gXYZ", b"bXYZ"} <= tags.keys() or b"A2B0" in tags:
        return None
    stored = np.linspace(0, 1, 65536)
    try:
        light = [_light(tags[name], stored) for name in names]
    except (ValueError, struct.error):
        return None
    held = np.stack([encoded(np.clip(np.nan_to_num(one), 0, 1)) for one in light])
    table = np.rint(held * 65535).astype(np.uint16)
    rising = np.diff(table.astype(np.int32), axis=1) >= 0
    return table if rising.all() and (table[:, -1] > table[:, 0]).all() else None


def _light(curve: bytes, stored: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear light of stored values in [0, 1] by a profile's curve (ICC.1:2022, 10.6 and 10.18)."""
    if curve[:4] == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        if count == 1:
            return stored ** (struct.unpack_from(">H", curve, 12)[0] / 256)
        points = np.array(struct.unpack_from(f">{count}H", curve, 12)) / 65535
        return np.interp(stored, np.linspace(0, 1, count), points) if count else stored
    if curve[:4] != b"para":
        raise ValueError("no curve")
    kind = struct.unpack_from(">H", curve, 8)[0]
    given = struct.unpack_from(f">{_PARAMETERS[kind]}i", curve, 12) if kind < len(_PARAMETERS) else ()
    if not given:
        raise ValueError("no curve that is known")
    g, a, b, c, d, e, f = (*(value / 65536 for value in given), *(1, 0, 0, 0, 0, 0)[len(given) - 1 :])
    if kind in (1, 2):  # which are straight below the place where the power begins
        c, d, e, f = 0, -b / a if a else 0, c, c
    power = np.maximum(a * stored + b, 0) ** g + e
    return np.where(stored >= d, power, c * stored + f) if kind else power


def _held(image: pyvips.Image, table: Table) -> pyvips.Image:
    """The image with sRGB's curve; 8 bits become 16, which hold every one of their values apart."""
    deep = image.format == "ushort"
    lut = vips.wrap(np.ascontiguousarray((table if deep else table[:, ::257]).T[None]))
    done = image.extract_band(0, n=3).maplut(lut)
    if image.bands > 3:
        alpha = image.extract_band(3)
        done = done.bandjoin(alpha if deep else (alpha * 257).cast("ushort"))
    return done.copy(interpretation="rgb16")


def as_stored(image: pyvips.Image, icc: bytes, bits: int) -> pyvips.Image:
    """An image without alpha as a file of 8 or 16 bits stores it in a profile of `PRIMARIES`."""
    table = _curves(icc)
    if table is None:
        raise vips.Failed("the profile's curves cannot be followed")
    if bits == image_bits(image) and _is_srgbs(table):
        return _with_profile(image, icc)
    lut = np.stack([_backwards(one if bits == 16 else one[::257]) for one in table], axis=-1)
    lut = lut.astype(np.uint16 if bits == 16 else np.uint8)
    done = image.maplut(vips.wrap((lut if image.format == "ushort" else lut[::257])[None]))
    return _with_profile(done.copy(interpretation="rgb16" if bits == 16 else "srgb"), icc)


def _backwards(table: npt.NDArray[np.uint16]) -> npt.NDArray[np.intp]:
    """Which stored value comes closest to each held value 0..65535."""
    steps, first = np.unique(table, return_index=True)
    middles = (steps[1:].astype(np.float64) + steps[:-1]) / 2
    return first[np.searchsorted(middles, np.arange(65536))]


def _is_srgbs(table: Table) -> bool:
    """Whether curves are so close to sRGB's that values can be taken as they are."""
    off = table.astype(np.int32) - np.arange(65536)
    return int(np.abs(off).max()) <= _SRGB_TOLERANCE


def image_bits(image: pyvips.Image) -> int:
    return 16 if image.format == "ushort" else 8


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """A profile's tags; none where the profile is cut off."""
    count = int.from_bytes(icc[128:132], "big")
    table = icc[132 : 132 + 12 * count] if count <= _MOST_TAGS else b""
    found = list(struct.iter_unpack(">4sII", table[: len(table) // 12 * 12]))
    whole = len(found) == count and all(at + size <= len(icc) for _, at, size in found)
    return {name: icc[at : at + size] for name, at, size in found} if whole else {}


def _computed(make: Callable[[], pyvips.Image]) -> npt.NDArray[Any] | None:
    """The pixels of an image; None where libvips does not compute it."""
    with contextlib.suppress(vips.Failed), vips.calls():
        return vips.pixels(make())
    return None


def builtin(name: str) -> bytes | None:
    """A profile built into libvips ("srgb", "p3")."""
    profile: Any = pyvips.Operation.call("profile_load", name)
    return bytes(profile) or None


def to_srgb(image: pyvips.Image, icc: bytes | None, *, stand_in: str = "srgb") -> pyvips.Image:
    """The image (RGB or CMYK, 8 or 16 bit, with or without alpha) in sRGB at the same depth.

    Args:
        icc: the profile of the image's colours; None for `stand_in`, a profile built into libvips.
    """
    image = image.copy()
    image.remove(_FIELD)
    source: dict[str, Any] = {"embedded": icc is not None, "input_profile": stand_in, **_HOW}
    if icc is not None:
        vips.set_blob(image, _FIELD, icc)
    if image.format == "ushort":
        # In one transform lcms2 interpolates 16-bit values in a coarse table, up to 16 of 255 levels
        # off; through floating-point Lab it computes them.
        return image.icc_import(**source).icc_export(output_profile="srgb", depth=16, **_HOW)
    return image.icc_transform("srgb", depth=8, **source)


def from_srgb(image: pyvips.Image, icc: bytes) -> pyvips.Image:
    """An sRGB image without alpha in the colours of `icc`, at the same depth."""
    if image.format == "uchar":
        # For 8 bits one transform is exact and ten times faster, but takes its output profile from a
        # file only. It has read the file when it returns.
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix="relume-") as folder:
            profile = Path(folder) / "profile.icc"
            profile.write_bytes(icc)
            done = image.icc_transform(str(profile), input_profile="srgb", embedded=False, depth=8, **_HOW)
            return _with_profile(done, icc)
    depth = 16 if image.format == "ushort" else 8
    lab = image.icc_import(input_profile="srgb", embedded=False, **_HOW)
    # Without an output profile libvips exports to the profile that the image carries.
    return _with_profile(lab, icc).icc_export(depth=depth, **_HOW)


def grey_to_srgb(image: pyvips.Image, icc: bytes) -> pyvips.Image:
    """A grey image of one channel in sRGB's grey, at the same depth; as it is where `icc` acts like sRGB."""
    kind, scale = (np.uint16, 1) if image.format == "ushort" else (np.uint8, 257)
    ramp = np.arange(np.iinfo(kind).max + 1, dtype=kind)[None]
    table = to_srgb(vips.wrap(ramp), icc)[1].numpy().reshape(ramp.shape)
    if np.abs(table.astype(np.int64) - ramp).max() * scale <= _SRGB_TOLERANCE:
        return image
    return image.maplut(vips.wrap(table)).copy(interpretation=image.interpretation)


def by_codes(
    about: Metadata, primaries: int, transfer: int, *, first: bool = False
) -> tuple[Metadata, list[str]]:
    """The profile for colours stated as code numbers (ITU-T H.273), and notes.

    Args:
        first: they go before a profile, which then stands in only for what relume does not know.
    """
    if about.icc is not None and not first:
        return about, []
    if transfer not in (16, 18) and primaries in (1, 12):
        return replace(about, icc=builtin("p3") if primaries == 12 else None), []
    if about.icc is not None:
        return about, []
    if transfer in (16, 18):
        return about, ["HDR brightness read as if it were sRGB"]
    return about, ["BT.2020 colours read as if they were sRGB"] if primaries == 9 else []


@dataclass(frozen=True)
class Plan:
    """What is done to a photo's pixels before they are enhanced.

    Attributes:
        about: the metadata that then holds.
        change: the image's way to sRGB's curve.
        notes: what is said of it.
        lost: what is said of colours that cannot come back when the photo is written.
    """

    about: Metadata
    change: Callable[[pyvips.Image], pyvips.Image]
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def plan(image: pyvips.Image, about: Metadata) -> Plan:
    """What is done to the pixels, if anything."""
    icc = about.icc
    kind = Profile.BROKEN if icc is None else judge(icc)
    plain = replace(about, icc=None)
    if image.interpretation == "cmyk":
        used = icc if kind is Profile.CMYK else None
        lost = ("CMYK converted to sRGB",)
        return Plan(plain, lambda image: to_srgb(image, used, stand_in="cmyk"), lost=lost)
    if image.interpretation in ("lab", "labs"):
        return Plan(plain, lambda image: image.colourspace("rgb16"), lost=("CIELAB converted to sRGB",))
    coloured = (Profile.SRGB, Profile.PRIMARIES, Profile.TABLES, Profile.ONE_WAY)
    if icc is None:
        return Plan(plain, _unchanged)
    if kind not in ((Profile.GREY,) if image.bands < 3 else coloured):
        what = "damaged" if kind is Profile.BROKEN else "unfitting"
        return Plan(plain, _unchanged, (f"{what} colour profile ignored",))
    if kind is Profile.ONE_WAY:
        lost = ("colours converted to sRGB for good: the profile cannot be applied backwards",)
        return Plan(plain, lambda image: to_srgb(image, icc), lost=lost)
    if kind is Profile.TABLES:
        lost = ("colours outside sRGB clipped: the profile is one of tables",)
        return Plan(about, lambda image: to_srgb(image, icc), lost=lost)
    table = _curves(icc) if kind is Profile.PRIMARIES else None
    if table is None or _is_srgbs(table):
        return Plan(about, _unchanged)
    return Plan(about, lambda image: _held(image, table))


def applied(change: Callable[[pyvips.Image], pyvips.Image], pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pixels (H x W x C) after what `plan` does to them; the same array where they stay as they are."""
    before = vips.wrap(pixels)
    after = change(before)
    return pixels if after is before else vips.pixels(after)


def _unchanged(image: pyvips.Image) -> pyvips.Image:
    return image
