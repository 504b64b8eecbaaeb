"""Tag directories (IFD), the structure that EXIF blocks and TIFF files share.

Reading gives every value as little-endian bytes, so that directories can be moved between files of
either byte order.
"""

from __future__ import annotations

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
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LONG = 4
_POINTERS = (3, 4, 13, 16, 18)
POINTER_TYPES = (13, 16, 17, 18)
"""Types of a directory's offset, and of BigTIFF's numbers, which a classic file cannot hold."""

_MOST_TAGS = 1000
_MOST_BYTES = 16 << 20
LARGE = 32 << 20


@dataclass(frozen=True)
class Value:
    """One tag's value: TIFF type, count of elements, and their bytes, little-endian."""

    type: int
    count: int
    data: bytes

    @classmethod
    def of(cls, type: int, data: bytes) -> Value:  # noqa: A002 - TIFF's own word
        """The value of a type that these bytes are."""
        return cls(type, len(data) // _SIZES[type], data)

    def number(self) -> int:
        """The first element as an integer, for the types SHORT, LONG and IFD."""
        return self.numbers()[0]

    def numbers(self) -> list[int]:
        """All elements as integers, for the same types."""
        size = _SIZES[self.type]
        return [int.from_bytes(self.data[at : at + size], "little") for at in range(0, len(self.data), size)]


@dataclass
class Directory:
    """Tags of one directory, the directories that some of them point to, and how many tags were not read."""

    tags: dict[int, Value] = field(default_factory=dict[int, Value])
    children: dict[int, Directory] = field(default_factory=dict[int, "Directory"])
    lost: int = 0

    @property
    def is_large(self) -> bool:
        """Whether its tags hold very many bytes, such as Photoshop's layers, read or not."""
        return self.lost > 0 or sum(len(value.data) for value in self.tags.values()) > LARGE

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


def tiff_header(read_at: ReadAt) -> tuple[Order, int, bool]:
    """Byte order, the offset of the first directory, and whether the file is a BigTIFF.

    Raises:
        ValueError: not a TIFF header.
    """
    head = read_at(0, 16)
    if len(head) < 16 or head[:8] not in (b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"):
        return *header(read_at), False
    order: Order = "<" if head[:2] == b"II" else ">"
    return order, struct.unpack(order + "Q", head[8:])[0], True


def entries(
    read_at: ReadAt, order: Order, at: int, *, big: bool = False
) -> tuple[list[tuple[int, int, int, int]], int]:
    """The entries at offset `at`, each (tag, type, count, offset of its value), and the next directory.

    Args:
        big: of a BigTIFF.

    Raises:
        ValueError: the directory lies outside the file or is absurdly long.
    """
    counted, offset = ("Q", "Q") if big else ("H", "I")
    head_size, number_size = struct.calcsize(counted), struct.calcsize(offset)
    entry_size = 4 + 2 * number_size
    head = read_at(at, head_size)
    if len(head) < head_size:
        raise ValueError("a directory lies outside the file")
    (count,) = struct.unpack(order + counted, head)
    if count > _MOST_TAGS:
        raise ValueError("a directory is damaged")
    table = read_at(at + head_size, entry_size * count + number_size)
    if len(table) < entry_size * count:
        raise ValueError("a directory is damaged")
    found: list[tuple[int, int, int, int]] = []
    for start in range(0, entry_size * count, entry_size):
        tag, kind, number = struct.unpack_from(order + "HH" + offset, table, start)
        value_at = at + head_size + start + 4 + number_size
        if _SIZES.get(kind, 1) * number > number_size:
            (value_at,) = struct.unpack_from(order + offset, table, start + 4 + number_size)
        found.append((tag, kind, number, value_at))
    end = table[entry_size * count :]
    return found, struct.unpack(order + offset, end)[0] if len(end) == number_size else 0


def _little(data: bytes, kind: int, order: Order) -> bytes:
    unit = _UNITS.get(kind, 1)
    if order == "<" or unit == 1:
        return data
    return np.frombuffer(data, f">u{unit}").astype(f"<u{unit}").tobytes()


def read(
    read_at: ReadAt,
    order: Order,
    at: int,
    *,
    only: Iterable[int] | None = None,
    without: Iterable[int] = (),
    big: bool = False,
    room: int = _MOST_BYTES,
) -> Directory:
    """The directory at offset `at` with its EXIF, GPS and interoperability directories.

    Tags whose value lies outside the file are left out.

    Args:
        only: the tags wanted; None is all.
        without: tags not wanted.
        big: of a BigTIFF.
        room: bytes of values after which no more are read: many tags may name the same bytes.

    Raises:
        ValueError: the directory itself is damaged.
    """
    reader = _Reader(read_at, order, big, room, frozenset(without))
    return reader.directory(at, None if only is None else frozenset(only), 2)


@dataclass
class _Reader:
    """Reads directories of a file, for which see `read`."""

    read_at: ReadAt
    order: Order
    big: bool
    room: int
    without: frozenset[int]

    def directory(self, at: int, wanted: frozenset[int] | None, depth: int) -> Directory:
        result = Directory()
        for tag, kind, count, value_at in entries(self.read_at, self.order, at, big=self.big)[0]:
            if tag in self.without or (wanted is not None and tag not in wanted):
                continue
            value = self._value(kind, count, value_at)
            if value is None:
                result.lost += count > 0
            elif tag not in _CHILDREN:
                result.tags[tag] = value
            elif depth:
                self._add_child(result, tag, value, depth - 1)
        return result

    def _value(self, kind: int, count: int, at: int) -> Value | None:
        """A value; None where there is no room for it, or not all of it is in the file."""
        size = _SIZES.get(kind, 0) * count
        if not 0 < size <= self.room:
            return None
        self.room -= size
        data = self.read_at(at, size)
        return Value(kind, count, _little(data, kind, self.order)) if len(data) == size else None

    def _add_child(self, result: Directory, tag: int, value: Value, depth: int) -> None:
        try:
            if value.type not in _POINTERS:
                raise ValueError
            child = self.directory(value.number(), None, depth)
        except ValueError:
            result.lost += 1
        else:
            result.children[tag] = child
            result.lost += child.lost


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
