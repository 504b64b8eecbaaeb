"""JPEG files part by part: walked over, and mended where libjpeg would only warn (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from relume.photo import vips
from relume.photo.ifd import ReadAt

Pixels = TypeVar("Pixels")

END, SCAN = 0xD9, 0xDA
APP0, APP14 = 0xE0, 0xEE
STRAY = 0
"""Stands for bytes between segments that belong to none."""

# Frames of one pass over each block (baseline, extended; Huffman or arithmetic), and all kinds of frames.
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone: TEM, and restarts outside pixels.
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_MOST_PARTS = 1 << 16
_STEPS = (1 << 12, 1 << 20)
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_PIXELS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_COEFFICIENTS = 64
# Of a scan's header, and of what is looked at of the others.
_SHORTEST = 6
_MOST_TRIES, _MOST_SECONDS = 32, 8
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")


@dataclass(frozen=True)
class Part:
    """A segment: its marker, and offset and size of its content. An end marker has none."""

    marker: int
    at: int
    size: int


def parts(read_at: ReadAt) -> Iterator[Part]:
    """The segments of a file up to its end marker, those between and behind its scans included."""
    at = 2
    for _ in range(_MOST_PARTS):
        head = read_at(at, 4)
        if len(head) < 2:
            return
        if head[:1] != b"\xff" or head[1:2] == b"\0":
            found = _next(read_at, at, _MARKER)
            yield Part(STRAY, at, found - at)
            at = found
        elif head[1] == 0xFF:  # a fill byte
            at += 1
        elif head[1] in _ALONE:
            at += 2
        elif head[1] == END:
            yield Part(END, at + 2, 0)
            return
        else:
            size = max(int.from_bytes(head[2:], "big"), 2)
            yield Part(head[1], at + 4, size - 2)
            at += 2 + size
            if head[1] == SCAN:
                at = _next(read_at, at, _MARKER_IN_PIXELS)


def _next(read_at: ReadAt, at: int, marker: re.Pattern[bytes]) -> int:
    """Offset of the next marker from `at` on, or of the end of the file."""
    step, most = _STEPS
    while True:
        data = read_at(at, step)
        step = min(4 * step, most)
        found = marker.search(data)
        if found is not None:
            return at + found.start()
        if len(data) < 2:
            return at + len(data)
        at += len(data) - 1  # the last byte may be the first of a marker


@dataclass
class _Mending:
    """A file's parts as they are mended; `complete` once every coefficient of every component has arrived."""

    sequential: bool = True
    components: bytes = b""
    missing: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])

    @property
    def complete(self) -> bool:
        return bool(self.components) and not any(self.missing.values())

    def frame(self, marker: int, content: bytes) -> None:
        self.sequential = marker in _SEQUENTIAL
        self.components = content[6::3]
        self.missing = {(one, place): 1 for one in self.components for place in range(_COEFFICIENTS)}

    def scan(self, content: bytes) -> bytes:
        """The header of a scan, with the only parameters that a sequential frame can have."""
        if self.sequential:
            content = content[:-3] + bytes((0, _COEFFICIENTS - 1, 0))
        first, last, bits = content[-3:]
        for one in content[1:-3:2]:
            self.missing |= {(one, place): bits & 15 for place in range(first, min(last, 63) + 1)}
        return content

    def colours(self, content: bytes) -> bytes:
        """Adobe's segment, with a colour transform that exists."""
        if content[:5] == b"Adobe" and len(content) >= 12 and content[11] > 2:
            content = content[:11] + bytes((2 if len(self.components) == 4 else 1,)) + content[12:]
        return content


def mended(data: bytes) -> tuple[bytes, list[str]]:
    """The file without what libjpeg warns of although it harms no pixel, and notes.

    Stray bytes between segments, a version of JFIF, a colour transform of Adobe's and parameters of a scan
    that do not exist (as Samsung's phones write), and a missing end marker behind whole pixels.
    """
    listed = list(parts(_reader(data)))
    mending = _Mending()
    notes: list[str] = []
    for part in listed:  # the frame may stand behind Adobe's segment
        if part.marker in _FRAMES:
            mending.frame(part.marker, _content(data, part))
    pieces: list[bytes] = []
    copied = 0
    for part in listed:
        if part.marker == STRAY:
            pieces.append(data[copied : part.at])
            copied = part.at + part.size
            notes = ["stray bytes in the JPEG file skipped"]
        elif part.marker in (SCAN, APP0, APP14):
            content = _content(data, part)
            pieces += [data[copied : part.at], _mended_part(mending, part.marker, content)]
            copied = part.at + len(content)
    pieces.append(data[copied:])
    if mending.complete and (not listed or listed[-1].marker != END):
        pieces.append(b"\xff\xd9")
        notes.append("missing end of the JPEG file added")
    return b"".join(pieces), notes


def _mended_part(mending: _Mending, marker: int, content: bytes) -> bytes:
    if len(content) < _SHORTEST:
        return content
    if marker == SCAN:
        return mending.scan(content)
    if marker == APP14:
        return mending.colours(content)
    wrong = content[:5] == b"JFIF\0" and content[5] != 1
    return content[:5] + b"\1" + content[6:] if wrong else content


def decoded(data: bytes, decode: Callable[[bytes], Pixels]) -> tuple[Pixels, list[str]]:
    """What `decode` makes of a file once it is mended, and notes.

    Args:
        decode: raises `vips.Failed` whatever libjpeg warns of, so that no damaged pixel passes.

    Raises:
        vips.Failed: what is wrong with the mended file.
    """
    tries, started = iter(range(_MOST_TRIES)), time.monotonic()

    def attempt(data: bytes, start: int) -> Pixels:
        try:
            return decode(data)
        except vips.Failed as error:
            for at, other in _without_extraneous(data, str(error), start):
                if next(tries, None) is not None and time.monotonic() - started < _MOST_SECONDS:
                    with suppress(vips.Failed):
                        return attempt(other, at)
            raise

    data, notes = mended(data)
    return attempt(data, 0), notes


def _without_extraneous(data: bytes, said: str, after: int) -> Iterable[tuple[int, bytes]]:
    """The file without bytes behind the pixels of a scan that libjpeg complains of, for each place behind
    `after` where that may be: the place, and the file.
    """
    found = _EXTRANEOUS.search(said)
    if found is None:
        return
    count, marker = int(found[1]), int(found[2], 16)
    listed = list(parts(_reader(data)))
    for before, part in pairwise(listed):
        end = part.at - (2 if marker == END else 4)
        start = end - count
        if before.marker == SCAN and part.marker == marker and start > max(before.at, after):
            yield start, data[:start] + data[end:]


def _reader(data: bytes) -> ReadAt:
    return lambda at, size: data[at : at + size]


def _content(data: bytes, part: Part) -> bytes:
    return data[part.at : part.at + part.size]
