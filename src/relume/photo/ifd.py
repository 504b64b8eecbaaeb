"""Tag directories (IFD), the structure that EXIF blocks and TIFF files share.

Reading gives every value as little-endian bytes, so that directories can be moved between files of
either byte order.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

ReadAt = Callable[[int, int], bytes]
"""Bytes of a file: (offset, size) -> at most `size` bytes."""

Order = Literal["<", ">"]

ORIENTATION, RESOLUTION_UNIT = 0x0112, 0x0128
XMP, IPTC = 700, 33723
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
_CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)

# Bytes of one element, and of the units whose byte order matters, by TIFF type number.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_LONG = 4
_POINTERS = (3, 4, 13)
_MOST_TAGS = 1000
_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Value:
    """One tag's value: TIFF type, count of elements, and their bytes, little-endian."""

    type: int
    count: int
    data: bytes

    def number(self) -> int:
        """The first element as an integer, for the types SHORT, LONG and IFD."""
        return int.from_bytes(self.data[: _SIZES[self.type]], "little")


@dataclass
class Directory:
    """Tags of one directory, and the directories that some of its tags point to."""

    tags: dict[int, Value] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)

    def number(self, tag: int, default: int = 0) -> int:
        value = self.tags.get(tag)
        return default if value is None or value.type not in (3, 4) or not value.data else value.number()


def header(read_at: ReadAt) -> tuple[Order, int]:
    """Byte order and the offset of the first directory.

    Raises:
        ValueError: not a classic TIFF header.
    """
    head = read_at(0, 8)
    if len(head) < 8 or head[:4] not in (b"II*\0", b"MM\0*"):
        raise ValueError("no TIFF header")
    order: Order = "<" if head[:2] == b"II" else ">"
    return order, struct.unpack(order + "I", head[4:])[0]


def entries(read_at: ReadAt, order: Order, at: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """The entries at offset `at`, each (tag, type, count, offset of its value), and the next directory.

    Raises:
        ValueError: the directory lies outside the file or is absurdly long.
    """
    head = read_at(at, 2)
    if len(head) < 2:
        raise ValueError("a directory lies outside the file")
    (count,) = struct.unpack(order + "H", head)
    table = read_at(at + 2, 12 * count + 4)
    if count > _MOST_TAGS or len(table) < 12 * count:
        raise ValueError("a directory is damaged")
    found: list[tuple[int, int, int, int]] = []
    for index in range(count):
        tag, kind, number = struct.unpack_from(order + "HHI", table, 12 * index)
        value_at = at + 2 + 12 * index + 8
        if _SIZES.get(kind, 1) * number > 4:
            (value_at,) = struct.unpack_from(order + "I", table, 12 * index + 8)
        found.append((tag, kind, number, value_at))
    end = table[12 * count :]
    return found, struct.unpack(order + "I", end)[0] if len(end) == 4 else 0


def _little(data: bytes, kind: int, order: Order) -> bytes:
    unit = _UNITS.get(kind, 1)
    if order == "<" or unit == 1:
        return data
    return np.frombuffer(data, f">u{unit}").astype(f"<u{unit}").tobytes()


def read(read_at: ReadAt, order: Order, at: int, *, only: Iterable[int] | None = None) -> Directory:
    """The directory at offset `at` with its EXIF, GPS and interoperability directories.

    Tags whose value lies outside the file are left out, and what comes after 16 MiB of values: many tags
    may name the same bytes. `only` names the tags wanted, None is all.

    Raises:
        ValueError: the directory itself is damaged.
    """
    room = _MOST_BYTES

    def take(value_at: int, size: int) -> bytes:
        nonlocal room
        if not 0 < size <= room:
            return b""
        room -= size
        return read_at(value_at, size)

    def directory(at: int, wanted: frozenset[int] | None, depth: int) -> Directory:
        result = Directory()
        for tag, kind, count, value_at in entries(read_at, order, at)[0]:
            if wanted is not None and tag not in wanted:
                continue
            size = _SIZES.get(kind, 0) * count
            data = take(value_at, size)
            if not data or len(data) < size:
                continue
            value = Value(kind, count, _little(data, kind, order))
            if tag not in _CHILDREN:
                result.tags[tag] = value
            elif depth and kind in _POINTERS:
                with contextlib.suppress(ValueError):
                    result.children[tag] = directory(value.number(), None, depth - 1)
        return result

    return directory(at, None if only is None else frozenset(only), 2)


def layout(directory: Directory, at: int) -> bytes:
    """The directory as little-endian bytes that stand at offset `at` of a file (an even number)."""
    tags = dict(directory.tags)
    count = len(tags) + len(directory.children)
    blobs = b""
    blobs_at = at + 2 + 12 * count + 4
    for tag, child in sorted(directory.children.items()):
        child_at = blobs_at + len(blobs)
        blobs += layout(child, child_at)
        tags[tag] = Value(_LONG, 1, struct.pack("<I", child_at))
    table = struct.pack("<H", count)
    for tag, value in sorted(tags.items()):
        field_bytes = value.data.ljust(4, b"\0")
        if len(value.data) > 4:
            field_bytes = struct.pack("<I", blobs_at + len(blobs))
            blobs += value.data + b"\0" * (len(value.data) % 2)
        table += struct.pack("<HHI", tag, value.type, value.count) + field_bytes
    return table + struct.pack("<I", 0) + blobs
