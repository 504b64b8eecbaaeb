"""A clip's pictures as photos, and back, by the matrix and the range that the clip names.

Values stay as a display takes them: what a clip stores is treated as sRGB is, since displays show both with
nearly one curve, and primaries are left alone. So nothing but the wanted change becomes of a colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from relume.errors import InputInvalid
from relume.photo import Photo

Planes: TypeAlias = npt.NDArray[Any]
"""Luma and two chroma planes of one size, 3 x H x W, in whole levels."""

Tags: TypeAlias = tuple[int, int, int, int]
"""Range, matrix, primaries and transfer, numbered as in ITU-T H.273 and FFmpeg."""

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_OTHER_TRANSFERS = {8: "linear", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE 428"}

_BT601, _BT709, _SMPTE240, _BT2020 = "BT.601", "BT.709", "SMPTE 240M", "BT.2020"
_WEIGHTS = {
    _BT601: (0.299, 0.114),
    _BT709: (0.2126, 0.0722),
    _SMPTE240: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
}
"""Weights of red and blue in luma."""

_MATRICES = {1: _BT709, 5: _BT601, 6: _BT601, 7: _SMPTE240, 9: _BT2020}
"""Names of the matrices that a clip can name."""

_UNSPECIFIED = 2
_RGB_MATRIX = 0
_SCALER_MATRICES = {
    _BT601: Colorspace.ITU601,
    _BT709: Colorspace.ITU709,
    _SMPTE240: Colorspace.SMPTE240M,
    _BT2020: Colorspace.BT2020,
}

_SCALING = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
)

_AVERAGING = Interpolation.AREA | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND

_HD = (1280, 576)
"""Width from which on, and height above which, a clip that names no matrix is taken for BT.709."""


@dataclass(frozen=True)
class Coding:
    """How the pictures of a clip hold their colours.

    Attributes:
        pixel_format: FFmpeg's name.
        matrix: of luma and chroma; of RGB pictures, the one they are encoded with.
        full: whether levels span the whole range.
        deep: more than 8 bits.
        grey: luma alone.
        rgb: neither luma nor chroma, but colours.
        alpha: opacity, which is left out.
        tags: as the clip gives them, for the result.
    """

    pixel_format: str
    matrix: str
    full: bool
    deep: bool
    grey: bool
    rgb: bool
    alpha: bool
    tags: Tags


_SILENT: Tags = (0, _UNSPECIFIED, _UNSPECIFIED, _UNSPECIFIED)
"""What tags are that say nothing."""


def coding_of(frame: VideoFrame, told: Tags = _SILENT) -> Coding:
    """Read how a picture holds its colours.

    Args:
        told: what the container says, for all that the picture does not.

    Raises:
        InputInvalid: high dynamic range, or a matrix other than those of BT.601, BT.709 and BT.2020.
    """
    form = frame.format
    own = tags_of(frame)
    range_, matrix, primaries, transfer = (
        other if mine == silent else mine for mine, other, silent in zip(own, told, _SILENT, strict=True)
    )
    tags = (range_, matrix, primaries, transfer)
    _check_transfer(tags[3])
    grey = len([part for part in form.components if not part.is_alpha]) == 1 and not form.has_palette
    rgb = (form.is_rgb or form.has_palette) and not grey
    return Coding(
        pixel_format=form.name,
        matrix=_matrix(tags[1], frame.width, frame.height, rgb=rgb or grey),
        full=_is_full(tags[0], form.name, grey, rgb),
        deep=any(part.bits > 8 for part in form.components),
        grey=grey,
        rgb=rgb,
        alpha=form.has_palette or any(part.is_alpha for part in form.components),
        tags=_tags_of_result(tags, form.name, grey=grey, rgb=rgb),
    )


def tags_of(tagged: Any) -> Tags:
    """The tags of a picture, or of a stream's decoder."""
    return (
        int(tagged.color_range),
        int(tagged.colorspace),
        int(tagged.color_primaries),
        int(tagged.color_trc),
    )


def _check_transfer(transfer: int) -> None:
    name = HDR_TRANSFERS.get(transfer)
    if name is not None:
        raise InputInvalid(
            f"the clip is of high dynamic range ({name}), which relume does not read",
            "Convert it to standard dynamic range first; many phones can record so, too.",
        )
    if transfer in _OTHER_TRANSFERS:
        raise InputInvalid(
            f"the clip's transfer curve is {_OTHER_TRANSFERS[transfer]}, which relume does not read",
            "Convert it to BT.709 first.",
        )


def _matrix(number: int, width: int, height: int, *, rgb: bool) -> str:
    if number in _MATRICES:
        return _MATRICES[number]
    if rgb:
        return _BT709
    if number == _UNSPECIFIED:
        return _BT709 if width >= _HD[0] or height > _HD[1] else _BT601
    raise InputInvalid(
        f"the clip's colour matrix (number {number} of ITU-T H.273) is one that relume does not read",
        "Convert it to BT.709 first.",
    )


def _is_full(number: int, pixel_format: str, grey: bool, rgb: bool) -> bool:
    """What a clip does not say follows from its format: `yuvj`, grey and RGB use the whole range."""
    if number == ColorRange.UNSPECIFIED:
        return grey or rgb or pixel_format.startswith("yuvj")
    return number == ColorRange.JPEG


def _tags_of_result(tags: Tags, pixel_format: str, *, grey: bool, rgb: bool) -> Tags:
    """RGB and grey become BT.709 of limited range; all else keeps its tags."""
    if not (grey or rgb):
        full = int(ColorRange.JPEG) if _is_full(tags[0], pixel_format, grey, rgb) else tags[0]
        return full, *tags[1:]
    matrix = tags[1] if tags[1] in _MATRICES else 1
    range_ = tags[0] if grey and tags[0] != ColorRange.UNSPECIFIED else int(ColorRange.MPEG)
    primaries = 1 if rgb and tags[2] == _UNSPECIFIED else tags[2]
    return range_, matrix, primaries, tags[3]


class Converter:
    """Turns pictures of one coding into photos and back; for one thread.

    Args:
        coding: of the clip.
    """

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._scaler = VideoReformatter()
        self._small = VideoReformatter()

    def photo(self, frame: VideoFrame) -> Photo:
        """The picture as a photo: 8 bits per channel, or 16 where the clip has more than 8."""
        coding = self._coding
        if coding.grey:
            rgb_HWC = self._grey(frame)
        elif coding.deep and not coding.rgb:
            planes_3HW = _planes(self._scaled(frame, "yuv444p10le", coding.full))
            rgb_HWC = to_rgb(planes_3HW, coding.matrix, full=coding.full)
        else:
            form = "rgb48le" if coding.deep else "rgb24"
            rgb_HWC = _array(self._scaled(frame, form, coding.full or coding.rgb))
        return Photo(rgb_HWC, grey=coding.grey)

    def overview(self, frame: VideoFrame, side: int) -> Photo:
        """The picture as a photo of 8 bits, reduced to a longer side where it is larger.

        Args:
            side: pixels of the longer side, at most.
        """
        scale = min(1.0, side / max(frame.width, frame.height))
        matrix = _SCALER_MATRICES[self._coding.matrix]
        is_full = self._coding.full or self._coding.rgb
        small = self._small.reformat(
            frame,
            width=max(1, round(frame.width * scale)),
            height=max(1, round(frame.height * scale)),
            format="rgb24",
            interpolation=_AVERAGING,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        return Photo(_array(small), grey=self._coding.grey)

    def frame(self, photo: Photo, pixel_format: str, full: bool) -> VideoFrame:
        """A photo as a picture of some pixel format, in the clip's matrix.

        Args:
            photo: of the size of the clip's pictures.
            pixel_format: one with luma and chroma of 8 or 10 bits.
            full: whether levels span the whole range.
        """
        bits = 10 if "10" in pixel_format else 8
        matrix = _SCALER_MATRICES[self._coding.matrix]
        if bits == 8 and photo.bits == 8 and not full:
            return self._scaler.reformat(
                VideoFrame.from_ndarray(photo.rgb_HWC, format="rgb24"),
                format=pixel_format,
                interpolation=_SCALING,
                src_colorspace=matrix,
                dst_colorspace=matrix,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
        # The scaler cuts off where it should round, to the whole range; a tint of half a level would stay.
        planes_3HW = from_rgb(photo.rgb_HWC, self._coding.matrix, full=full, bits=bits)
        frame = _from_planes(planes_3HW, "yuv444p" if bits == 8 else "yuv444p10le")
        return self._scaled(frame, pixel_format, full)

    def recoded(self, frame: VideoFrame, pixel_format: str) -> VideoFrame:
        """A picture that stays as it is, in another pixel format."""
        return self._scaled(frame, pixel_format, self._coding.full)

    def _grey(self, frame: VideoFrame) -> npt.NDArray[Any]:
        """Grey levels over the whole range, three times."""
        form = "gray16le" if self._coding.deep else "gray"
        levels_HW = _array(frame if frame.format.name == form else self._scaled_grey(frame, form))
        if not self._coding.full:
            top = np.iinfo(levels_HW.dtype).max
            low, span = (16 / 255, 219 / 255) if top == 255 else (4096 / top, 56064 / top)
            unit_HW = (levels_HW.astype(np.float32) / top - low) / span
            levels_HW = np.rint(np.clip(unit_HW, 0, 1) * top).astype(levels_HW.dtype)
        return np.repeat(levels_HW[..., None], 3, axis=2)

    def _scaled_grey(self, frame: VideoFrame, form: str) -> VideoFrame:
        """Grey levels as they are stored."""
        whole = ColorRange.JPEG
        return self._scaler.reformat(frame, format=form, src_color_range=whole, dst_color_range=whole)

    def _scaled(self, frame: VideoFrame, pixel_format: str, full: bool) -> VideoFrame:
        """The picture in another format; to RGB by the clip's matrix, else levels as they are."""
        matrix = _SCALER_MATRICES[self._coding.matrix]
        range_ = ColorRange.JPEG if full else ColorRange.MPEG
        return self._scaler.reformat(
            frame,
            format=pixel_format,
            interpolation=_SCALING,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_,
            dst_color_range=ColorRange.JPEG if pixel_format.startswith("rgb") else range_,
        )


def to_rgb(planes_3HW: Planes, matrix: str, *, full: bool) -> npt.NDArray[np.uint16]:
    """Luma and chroma of 10 bits -> RGB over the range of 16 bits, H x W x 3 (ITU-R BT.709, BT.2020)."""
    red, blue = _WEIGHTS[matrix]
    low, luma_span, chroma_span = _levels(10, full)
    luma_HW, cb_HW, cr_HW = planes_3HW.astype(np.float32)
    luma_HW = (luma_HW - low) * (1 / luma_span)
    cb_HW, cr_HW = (cb_HW - 512) * (1 / chroma_span), (cr_HW - 512) * (1 / chroma_span)
    rgb_HWC = np.empty((*luma_HW.shape, 3), np.float32)
    rgb_HWC[..., 0] = luma_HW + (2 - 2 * red) * cr_HW
    rgb_HWC[..., 2] = luma_HW + (2 - 2 * blue) * cb_HW
    rgb_HWC[..., 1] = (luma_HW - red * rgb_HWC[..., 0] - blue * rgb_HWC[..., 2]) / (1 - red - blue)
    np.clip(rgb_HWC, 0, 1, out=rgb_HWC)
    rgb_HWC *= 65535
    return np.rint(rgb_HWC, out=rgb_HWC).astype(np.uint16)


def from_rgb(rgb_HWC: npt.NDArray[Any], matrix: str, *, full: bool, bits: int) -> Planes:
    """RGB over the whole range of its type -> luma and chroma of 8 or 10 bits; the inverse of `to_rgb`."""
    red, blue = _WEIGHTS[matrix]
    low, luma_span, chroma_span = _levels(bits, full)
    rgb_3HW = np.moveaxis(rgb_HWC, -1, 0).astype(np.float32)
    rgb_3HW *= 1 / np.iinfo(rgb_HWC.dtype).max
    luma_HW = red * rgb_3HW[0] + (1 - red - blue) * rgb_3HW[1] + blue * rgb_3HW[2]
    middle = 1 << (bits - 1)
    levels_3HW = np.stack(
        [
            luma_HW * luma_span + low,
            (rgb_3HW[2] - luma_HW) * (chroma_span / (2 - 2 * blue)) + middle,
            (rgb_3HW[0] - luma_HW) * (chroma_span / (2 - 2 * red)) + middle,
        ]
    )
    np.clip(np.rint(levels_3HW, out=levels_3HW), 0, (1 << bits) - 1, out=levels_3HW)
    return levels_3HW.astype(np.uint8 if bits == 8 else np.uint16)


def _levels(bits: int, full: bool) -> tuple[float, float, float]:
    """Black, and how far luma and chroma reach."""
    if full:
        top = (1 << bits) - 1
        return 0, top, top
    step = 1 << (bits - 8)
    return 16 * step, 219 * step, 224 * step


def _array(frame: VideoFrame) -> npt.NDArray[Any]:
    """Pixels of a packed format; of whole numbers, which PyAV's types do not know."""
    return cast(npt.NDArray[Any], frame.to_ndarray())


def _planes(frame: VideoFrame) -> Planes:
    """The planes of a picture without subsampling."""
    sample = np.uint16 if any(part.bits > 8 for part in frame.format.components) else np.uint8
    rows = [np.frombuffer(cast(Any, plane), sample).reshape(frame.height, -1) for plane in frame.planes]
    return np.stack([plane[:, : frame.width] for plane in rows])


def _from_planes(planes_3HW: Planes, pixel_format: str) -> VideoFrame:
    _, height, width = planes_3HW.shape
    frame = VideoFrame(width, height, pixel_format)
    for plane, levels_HW in zip(frame.planes, planes_3HW, strict=True):
        rows: npt.NDArray[Any] = np.zeros((height, plane.line_size // levels_HW.itemsize), levels_HW.dtype)
        rows[:, :width] = levels_HW
        plane.update(cast(Any, rows))
    return frame
