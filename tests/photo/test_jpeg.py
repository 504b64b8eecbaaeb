"""JPEG files that libjpeg warns of: read where every pixel arrives, refused where one does not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from relume.errors import InputInvalid
from relume.photo import read_photo
from relume.photo.codecs import segments

from . import samples
from .broken import noise

STRAY, ENDED = "stray bytes in the JPEG file skipped", "missing end of the JPEG file added"


def file(**options: object) -> bytes:
    return samples.pillow_file(noise(96, 120), "JPEG", **options)


def other_version(data: bytes) -> bytes:
    at = data.index(b"JFIF\0") + 5
    return data[:at] + b"\x07\x05" + data[at + 2 :]


def odd_scan(data: bytes) -> bytes:
    at = data.index(b"\xff\xda")
    at += 5 + 2 * data[at + 4]
    return data[:at] + bytes(3) + data[at + 3 :]


def without_end(data: bytes) -> bytes:
    return data[:-2]


def odd_adobe(data: bytes) -> bytes:
    return data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + data[2:]


def stray(data: bytes) -> bytes:
    at = data.index(b"\xff\xdb")
    return data[:at] + b"\0abc\xff\0" + data[at:]


def stray_at_the_end(data: bytes) -> bytes:
    return data[:-2] + bytes(30) + data[-2:]


def stray_behind_each_scan(data: bytes) -> bytes:
    listed = list(segments.parts(lambda at, size: data[at : at + size]))
    for before, part in reversed(list(pairwise(listed))):
        if before.marker == segments.SCAN:
            at = part.at - (2 if part.marker == segments.END else 4)
            data = data[:at] + bytes(20) + data[at:]
    return data


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("spoil", "notes"),
    [
        (other_version, ()),
        (odd_adobe, ()),
        (odd_scan, ()),
        (without_end, (ENDED,)),
        (stray, (STRAY,)),
        (lambda data: without_end(odd_adobe(other_version(stray(data)))), (STRAY, ENDED)),
        (stray_at_the_end, ()),
        (stray_behind_each_scan, ()),
    ],
)
def test_whole_pixels_are_read(
    spoil: Callable[[bytes], bytes], notes: tuple[str, ...], progressive: bool
) -> None:
    data = file(progressive=progressive)
    if progressive and spoil is odd_scan:
        pytest.skip("parameters of a progressive scan mean something")
    photo = read_photo(spoil(data))
    np.testing.assert_array_equal(photo.rgb_HWC, read_photo(data).rgb_HWC)
    assert photo.notes == notes


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("spoil", [other_version, odd_adobe, odd_scan, stray, stray_at_the_end])
def test_damaged_pixels_are_refused_whatever_is_harmless_beside(
    spoil: Callable[[bytes], bytes], progressive: bool
) -> None:
    data = file(progressive=progressive)
    middle = len(data) * 2 // 3
    for damage in (b"\xff\xd9", b"\xff\x33\x12\xff\0\0" * 4):
        with pytest.raises(InputInvalid):
            read_photo(spoil(data[:middle] + damage + data[middle + len(damage) :]))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_cut_pixels_are_refused_wherever_they_are_cut(options: dict[str, object]) -> None:
    data = file(**options)
    scan = data.index(b"\xff\xda")
    marks = [at for at in range(scan, len(data) - 2) if data[at] == 0xFF and data[at + 1] != 0]
    inside = range(data.rindex(b"\xff\xda"), data.rindex(b"\xff\xda") + 16)  # the last scan has a header, too
    for size in {*np.linspace(20, len(data) - 40, 25).astype(int).tolist(), *marks[:40], *inside}:
        with pytest.raises(InputInvalid, match="cut off"):
            read_photo(data[:size])


def scans(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """A progressive file's head, its scans with the codes of each, and its end."""
    listed = list(segments.parts(lambda at, size: data[at : at + size]))
    (frame,) = (part for part in listed if part.marker == 0xC2)
    ends = [
        part.at - (2 if part.marker == segments.END else 4)
        for before, part in pairwise(listed)
        if before.marker == segments.SCAN
    ]
    start = frame.at + frame.size
    found = [data[at:end] for at, end in pairwise([start, *ends])]
    every, restarts, codes = found[0].rpartition(b"\xff\xdd\0\4")  # which hold for all scans
    moved = restarts + codes[:2] if restarts else b""
    found[0] = every + codes[2:] if restarts else found[0]
    return data[:start] + moved, found, data[ends[-1] :]


CONTRADICTION = ("scans of the JPEG file that contradict one another read as other programs do",)


@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("order", [(1, 0, 2, 3, 4, 5), (1, 2, 3, 4, 0, 5), (0, 1, 1, 2, 3, 4, 5)])
def test_scans_out_of_order_are_read_with_a_note(options: dict[str, object], order: tuple[int, ...]) -> None:
    """As Pillow reads them. Their order is the standard's; the coefficients are all there."""
    plain = file(progressive=True, **options)
    head, listed, end = scans(plain)
    data = head + b"".join(listed[place] for place in order) + b"".join(listed[len(set(order)) :]) + end
    photo = read_photo(data)
    assert photo.notes == CONTRADICTION
    np.testing.assert_array_equal(photo.rgb_HWC, read_photo(plain).rgb_HWC)
    assert read_photo(data[:-2]).notes == (ENDED, *CONTRADICTION)
    for scan in listed[1:]:
        at = data.index(scan) + len(scan) // 2
        with pytest.raises(InputInvalid):
            read_photo(data[:at] + b"\xff\x33\x12\xff\0\0" * 4 + data[at + 24 :])
        with pytest.raises(InputInvalid):
            read_photo(data[:at])


def test_what_is_mended_is_mended_beside_other_threads_failures() -> None:
    """libvips has one text of what goes wrong, and other threads clear it, or add to it."""
    head, listed, end = scans(file(progressive=True))
    sound = [
        head + b"".join((listed[1], listed[0], *listed[2:])) + end,
        odd_scan(file()),
        without_end(file()),
    ]
    broken = [file()[:2000], samples.pillow_file(noise(96, 120), "PNG")[:5000], file()[:-600] + end]

    def read(number: int) -> bool:
        if number % 2:
            return read_photo(sound[number // 2 % len(sound)]).width == 120
        with pytest.raises(InputInvalid):
            read_photo(broken[number // 2 % len(broken)])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(300)))


@pytest.mark.parametrize("lost", range(6))
def test_scans_that_refine_what_is_not_there_are_damage(lost: int) -> None:
    head, listed, end = scans(file(progressive=True))
    with pytest.raises(InputInvalid):
        read_photo(head + b"".join(listed[:lost] + listed[lost + 1 :]) + end)


def test_a_scan_that_tells_again_what_is_told_is_damage() -> None:
    head, listed, end = scans(file(progressive=True))
    with pytest.raises(InputInvalid):
        read_photo(head + b"".join((*listed, listed[-1])) + end)


def test_parts_are_listed_to_the_end_of_the_photo_and_no_further() -> None:
    data = file(progressive=True)
    listed = list(segments.parts(lambda at, size: (data + data)[at : at + size]))
    assert listed[-1] == segments.Part(segments.END, len(data), 0)
    assert sum(part.marker == segments.SCAN for part in listed) > 5
    assert segments.mended(data) == (data, [])
