"""Writing photos: back to the file's own colours and channels, streamed out, atomically."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyvips

from relume.errors import OutputUnwritable, UsageError
from relume.files import replacing
from relume.photo import colour, metadata, vips
from relume.photo.codecs import writer
from relume.photo.colour import Profile
from relume.photo.formats import TITLES, Format, parse_format
from relume.photo.opened import open_file
from relume.photo.photo import Metadata, Part, Photo
from relume.photo.refusals import MOST_DPI

_ROWS = 256
_MOST_NAMED = 4
_BIT_DEPTH_NOTE = "16 bits per channel reduced to {}"


def encode_photo(
    photo: Photo,
    *,
    format: str = "",  # noqa: A002
    quality: int | None = None,
    strip: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a photo as the bytes of an image file.

    Args:
        format: a name in `FORMATS` or a suffix; "" takes the format that the photo was read from.
        quality: 1..100 for the lossy formats, None for the format's default; lossless ones ignore it.
        strip: leave out EXIF, XMP, IPTC and the colour profile, and store sRGB colours.

    Returns:
        The file's bytes, and notes on what the format could not hold.

    Raises:
        OutputUnwritable: no such format, too large for the format, or the encoder failed.
        UsageError: a quality out of range.
    """
    form = _choose(photo, format, None)
    sink = io.BytesIO()
    notes = _encode(photo, form, quality, strip, sink, None)
    return sink.getvalue(), notes


def write_photo(
    photo: Photo,
    target: Path | str,
    *,
    format: str = "",  # noqa: A002
    quality: int | None = None,
    strip: bool = False,
    in_place: bool = False,
    mark: bytes | None = None,
) -> tuple[str, ...]:
    """Write a photo to a file, completely or not at all.

    The file grows without a name (or under a temporary one, where the system has no nameless files) and
    takes the place of `target` at the end, replacing a file that is there. The folder must exist.

    >>> from relume import read_photo, write_photo
    >>> write_photo(read_photo("night.jpg"), "night.avif", quality=70)
    ()

    Args:
        format: a name in `FORMATS` or a suffix; "" goes by the suffix of `target`, and by the format
            that the photo was read from where `target` has none.
        quality: 1..100 for the lossy formats, None for the format's default; lossless ones ignore it.
        strip: leave out EXIF, XMP, IPTC and the colour profile, and store sRGB colours.
        in_place: keep the permissions of the file that is replaced and, where allowed, its owner; where
            `target` is a link, replace what it points to.
        mark: an XMP packet that stands in the file where `strip` leaves out the photo's own.

    Returns:
        Notes on what the format could not hold.

    Raises:
        OutputUnwritable: no such format or folder, no permission or space, or the encoder failed.
        UsageError: a quality out of range.
    """
    target = Path(target)
    form = _choose(photo, format, target)
    with replacing(target, in_place=in_place) as file:
        return _encode(photo, form, quality, strip, file, target, mark)


def copy_photo(source: Path | bytes, target: Path) -> None:
    """Copy a photo's file (or its bytes) as it is, in the way of `write_photo`.

    Raises:
        InputUnreadable: the file may no longer be read.
        OutputUnwritable: no such folder, no permission or space.
    """
    given = isinstance(source, bytes)
    with (
        io.BytesIO(source) if given else os.fdopen(open_file(source, str(source)), "rb") as opened,
        replacing(target) as file,
    ):
        shutil.copyfileobj(opened, file)


def keeps_format(photo: Photo, target: Path | None, *, format: str = "") -> bool:  # noqa: A002
    """Whether `write_photo` would write the format of the file that the photo was read from.

    Raises:
        OutputUnwritable: no such format.
    """
    return _choose(photo, format, target).name == photo.stored


def _choose(photo: Photo, name: str, target: Path | None) -> Format:
    name = name or (target.suffix if target is not None else "") or photo.format
    if not name:
        remedy = f"Give the output a suffix, or name a format: {TITLES}."
        raise OutputUnwritable("no output format is known", remedy, path=target)
    try:
        return parse_format(name)
    except OutputUnwritable as error:
        raise OutputUnwritable(error.reason, error.remedy, path=target) from None


def _check(photo: Photo, form: Format, quality: int | None, path: Path | None) -> None:
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"the quality {quality} is out of range", "Choose 1 to 100.")
    height, width, _ = photo.rgb_HWC.shape
    if max(height, width) > form.max_side:
        raise OutputUnwritable(
            f"{form.title} holds at most {form.max_side} pixels per side, not {width} x {height}",
            "Choose PNG or TIFF.",
            path=path,
        )


# Encoding


def _encode(
    photo: Photo,
    form: Format,
    quality: int | None,
    strip: bool,
    sink: BinaryIO,
    path: Path | None,
    mark: bytes | None = None,
) -> tuple[str, ...]:
    """Encode into an empty, seekable file; returns the notes."""
    _check(photo, form, quality, path)
    stripped = Metadata(dpi=photo.metadata.dpi, xmp=mark)
    about, notes = (stripped, []) if strip else _fitting(photo, form)
    chosen, bits = quality or form.quality or 0, photo.bits

    def failed(said: str) -> OutputUnwritable:
        reason = f"the {form.title} encoder failed" + (f" ({said})" if said else "")
        return OutputUnwritable(reason, "Choose another format, or a smaller photo.", path=path)

    try:
        with vips.calls(failed):
            image, pixel_notes = _image(photo, bits, form, about.icc)
            saved = writer(form.name).save(image, about, sink, quality=chosen, bits=bits)
            notes += pixel_notes + saved
    except MemoryError as error:
        reason, remedy = "there is not enough memory to write the photo", "Close other programs."
        raise OutputUnwritable(reason, remedy, path=path) from error
    return tuple(notes)


def _fitting(photo: Photo, form: Format) -> tuple[Metadata, list[str]]:
    """The metadata that the format can hold, with a profile that fits the pixels, and notes."""
    about = photo.metadata
    places = (
        ("IPTC", about.iptc, form.iptc),
        ("Photoshop resources", about.resources, form.iptc),
        ("comment", about.comments, form.comments),
        ("text", about.texts, form.texts),
    )
    notes = [
        f"{name} dropped: {form.title} has no place for it"
        for name, held, fits in places
        if held and not fits
    ]
    lost = [part for part in about.parts if part.form != form.name]
    if lost:
        notes.append(f"{_listed(lost)} dropped: {form.title} has no place for it")
        about = replace(about, parts=tuple(part for part in about.parts if part.form == form.name))
        if about.xmp:  # which may tell of a video behind the photo
            about = replace(about, xmp=metadata.clean_xmp(about.xmp)[0])
    if about.exif:
        about = replace(about, exif=metadata.with_size(about.exif, photo.width, photo.height))
    fits = (Profile.GREY,) if photo.grey else (Profile.SRGB, Profile.PRIMARIES, Profile.TABLES)
    if about.icc is not None and colour.judge(about.icc) not in fits:
        about = replace(about, icc=None)
        notes.append("colour profile dropped: it does not fit the photo")
    elif photo.grey and not form.grey:
        about = replace(about, icc=None)
    return about, notes


def _listed(parts: Sequence[Part]) -> str:
    titles = list(dict.fromkeys(part.title for part in parts))
    more = len(titles) - _MOST_NAMED
    return ", ".join(titles[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _image(photo: Photo, bits: int, form: Format, icc: bytes | None) -> tuple[pyvips.Image, list[str]]:
    """The pixels as they go into the file, and notes. Nothing is computed before it is saved."""
    notes: list[str] = []
    image = vips.wrap(_one_channel(photo.rgb_HWC) if photo.grey else photo.rgb_HWC, grey=photo.grey)
    read_by = photo.metadata.icc
    if photo.grey and icc is None and read_by is not None and colour.judge(read_by) is Profile.GREY:
        image = colour.grey_to_srgb(image, read_by)
    alpha = None if photo.alpha_HW is None else vips.wrap(photo.alpha_HW)
    if alpha is not None and not form.alpha:
        full = int(np.iinfo(photo.rgb_HWC.dtype).max)
        name = image.interpretation
        image = image.bandjoin(alpha).flatten(background=[full], max_alpha=full).copy(interpretation=name)
        alpha = None
        notes.append(f"transparency laid on white: {form.title} holds none")
    if read_by is not None and not photo.grey:
        image, colour_notes = _with_colours(image, read_by, bits, keep=icc is not None)
        notes += colour_notes
    elif icc is not None:
        vips.set_blob(image, "icc-profile-data", icc)
    if bits > form.bits:
        notes.append(_BIT_DEPTH_NOTE.format(form.bits))
    if form.bits == 8 or bits == 8:
        image = _to_8_bits(image)
        alpha = None if alpha is None else _to_8_bits(alpha)
    if alpha is not None:
        name = image.interpretation
        image = image.bandjoin(alpha).copy(interpretation=name)
    return _with_resolution(image, photo.metadata.dpi), notes


def _with_colours(
    image: pyvips.Image, icc: bytes, bits: int, *, keep: bool
) -> tuple[pyvips.Image, list[str]]:
    """The image in the colours of the profile that it was read by, or in sRGB where the profile goes."""
    kind = colour.judge(icc)
    if kind is Profile.PRIMARIES:
        image = colour.as_stored(image, icc, bits)
        if not keep:
            image = colour.to_srgb(image, icc).copy()
            image.remove("icc-profile-data")
            return image, ["colours outside sRGB clipped: the profile is left out"]
    elif kind is Profile.TABLES and keep:
        image = colour.from_srgb(image, icc)
    elif keep:
        vips.set_blob(image, "icc-profile-data", icc)
    return image, []


def _one_channel(rgb_HWC: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Luma by the weights of Rec. 709 in 256ths; three equal channels give their value exactly."""
    height, width = rgb_HWC.shape[:2]
    grey = np.empty((height, width), rgb_HWC.dtype)
    for top in range(0, height, _ROWS):
        rows = rgb_HWC[top : top + _ROWS].astype(np.uint32)
        grey[top : top + _ROWS] = (54 * rows[..., 0] + 183 * rows[..., 1] + 19 * rows[..., 2] + 128) >> 8
    return grey


def _to_8_bits(image: pyvips.Image) -> pyvips.Image:
    """Round 0..65535 to 0..255, if that is the range; libvips cuts off the fraction, hence the half."""
    if image.format != "ushort":
        return image
    name = "srgb" if image.interpretation == "rgb16" else "b-w"
    return image.linear([255 / 65535], [0.5], uchar=True).copy(interpretation=name)


def _with_resolution(image: pyvips.Image, dpi: tuple[float, float] | None) -> pyvips.Image:
    across, down = dpi or (72.0, 72.0)
    most = MOST_DPI / 25.4
    return image.copy(xres=min(across / 25.4, most), yres=min(down / 25.4, most))
