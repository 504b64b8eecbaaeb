"""The photo as the pipeline sees it: pixels at their own depth, and what else the file holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from relume.arrays import Pixels
from relume.errors import UsageError


@dataclass(frozen=True)
class Part:
    """A part of a file that relume knows nothing of, and carries on into a file of the same format.

    Attributes:
        form: name of the format.
        title: for notes.
        key: what the format names it by: marker of a JPEG segment, name of a PNG or WebP chunk, TIFF tag;
            empty for what stands behind the file's end.
        content: its bytes, as they are.
        type: of the values of a TIFF tag.
    """

    form: str
    title: str
    key: int | bytes
    content: bytes
    type: int = 0


@dataclass(frozen=True)
class Metadata:
    """What a file says about its photo, as the raw bytes of each block; None where there is none.

    The orientation in `exif` is always 1: reading turns the pixels upright once.

    Attributes:
        exif, xmp, iptc, icc: the blocks of those names.
        resources: Photoshop's beside IPTC (clipping paths, slices...), one behind the other.
        dpi: resolution across and down, of the upright photo.
        comments: of a JPEG file.
        texts: chunks of a PNG file, each its name and content, without those of XMP.
        parts: what else the file holds and its format can carry on.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resources: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comments: tuple[bytes, ...] = ()
    texts: tuple[tuple[bytes, bytes], ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo with sRGB's curve, at the bit depth of its file.

    Pixels stay integers of the file's depth rather than floats: a photo of 48 megapixels is 144 MB
    instead of 576 MB, and a value that nothing changes comes back bit for bit. Each tile becomes
    float32 only on its way through the network.

    >>> import numpy as np
    >>> from relume import Photo
    >>> photo = Photo(np.zeros((20, 30, 3), np.uint16))
    >>> photo.width, photo.height, photo.bits
    (30, 20, 16)

    Attributes:
        rgb_HWC: sRGB-encoded pixels, uint8 or uint16 over their whole range, H x W x 3. A grey photo
            holds its one channel three times (`grey` is set). The primaries are those of the profile in
            `metadata`, sRGB's where there is none.
        alpha_HW: opacity at the same depth, or None.
        grey: the file has one colour channel, and gets one again when it is written.
        metadata: EXIF, XMP, IPTC and ICC blocks. The curve of a profile was replaced by sRGB's on reading,
            and comes back on writing; see `relume.photo.colour`.
        format: name of the format (a key of `relume.photo.FORMATS`) in which the photo is written by
            default: its file's own, "jpeg" for HEIC, "tiff" for camera raw, "" for pixels from memory.
        notes: what reading left out or had to change ("CMYK converted to sRGB"), for the report.
        stored: name of the format of the file itself, "" where relume writes no such files (HEIC, camera
            raw) and for pixels from memory.
        dropped: what the file holds beside the photo and its metadata and reading leaves out: further
            pictures, a video, a gain map, damaged EXIF, colours that cannot come back. Each is one
            of `notes`, too.
        depth: 8 for pixels of 8 bits that are held in 16, because sRGB's curve would let some of their
            values meet; 0 for those of the pixels.

    Raises:
        UsageError: arrays of another type or shape.
    """

    rgb_HWC: Pixels
    alpha_HW: Pixels | None = None
    grey: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    format: str = ""
    notes: tuple[str, ...] = ()
    stored: str = ""
    dropped: tuple[str, ...] = ()
    depth: int = 0

    def __post_init__(self) -> None:
        rgb, alpha = self.rgb_HWC, self.alpha_HW
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0 or not _is_pixel_type(rgb.dtype):
            raise UsageError(
                f"the photo's pixels are {rgb.dtype} of shape {rgb.shape}",
                "They must be uint8 or uint16 in native byte order, H x W x 3.",
            )
        if alpha is not None and (alpha.shape != rgb.shape[:2] or alpha.dtype != rgb.dtype):
            raise UsageError(
                f"the photo's alpha is {alpha.dtype} of shape {alpha.shape}",
                "It must match the pixels in type and size.",
            )

    def __repr__(self) -> str:
        """What it is, without its pixels and blocks."""
        facts = [f"{self.width} x {self.height}", f"{self.bits} bits", *(["grey"] if self.grey else [])]
        facts += ["alpha"] if self.alpha_HW is not None else []
        facts += [self.format] if self.format else []
        return f"Photo({', '.join(facts)}{f', notes={list(self.notes)}' if self.notes else ''})"

    @property
    def bits(self) -> int:
        """Bits per channel of the photo's file: 8 or 16."""
        return self.depth or 8 * self.rgb_HWC.dtype.itemsize

    @property
    def height(self) -> int:
        return self.rgb_HWC.shape[0]

    @property
    def width(self) -> int:
        return self.rgb_HWC.shape[1]

    def with_pixels(self, rgb_HWC: Pixels) -> Photo:
        """The same photo with other pixels of the same size and depth."""
        return replace(self, rgb_HWC=rgb_HWC)


def _is_pixel_type(dtype: np.dtype[Any]) -> bool:
    return dtype.isnative and dtype.name in ("uint8", "uint16")
