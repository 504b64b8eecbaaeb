"""Writing packs: see `relume.lab.data.packed`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import save

from relume.datasets.pairs import Pair
from relume.errors import DataError, OutputExists
from relume.files import check_folder, holds_anything, make_folder, write_file
from relume.lab.data.packed import FORMAT, IMAGES, INDEX, decode
from relume.lab.data.paired import read_8_bits
from relume.lab.data.sources import listed
from relume.lab.recipe import Data

Progress = Callable[[int, int], None]

_TOLERANCE = 2
"""Levels by which another decoder's pixels may differ; decoders of JPEG do by one."""

_HEADER = 256
"""Bytes that the file of images needs for each beside its own, at most."""


@dataclass(frozen=True)
class Packing:
    """What was packed.

    Attributes:
        parts: folders.
        images: files.
        size: bytes of all parts.
    """

    parts: int
    images: int
    size: int


def pack(root: Path, data: Data, out: Path, part_bytes: int, progress: Progress | None = None) -> Packing:
    """Write all images that a recipe reads, with the lists of its pairs, as parts of a pack.

    Files are carried as they are. Where Pillow would decode one to other pixels than relume does, these are
    carried as PNG.

    Args:
        root: data root, or one laid out alike with copies in JPEG XL.
        data: the recipe's part.
        out: folder to make.
        part_bytes: size of a part, at most.
        progress: called with files done and in all.

    Raises:
        DataError: as for training; or a file is larger than a part.
        OutputExists: the folder is there and not empty.
        OutputUnwritable: no permission, no space.
    """
    check_folder(out)
    if holds_anything(out):
        raise OutputExists("the folder is not empty", "Name another --out.", path=out)
    lists = lists_of(root, data)
    everything = [pair for pairs, _ in lists.values() for pair in pairs]
    paths = dict.fromkeys(path for pair in everything for path in (pair.low, pair.high))
    contents: dict[str, bytes] = {}
    names: dict[Path, str] = {}
    for path in paths:
        name, content = carried(path, root)
        names[path], contents[name] = name, content
        if progress:
            progress(len(contents), len(paths))
    index: dict[str, Any] = {
        "format": FORMAT,
        "lists": [
            {
                "path": path,
                "list_file": list_file,
                "pairs": [(pair.name, names[pair.low], names[pair.high]) for pair in pairs],
                "held_out": sorted(held_out),
            }
            for (path, list_file), (pairs, held_out) in lists.items()
        ],
    }
    digest = hashlib.sha256(json.dumps(index).encode())
    for content in contents.values():
        digest.update(content)
    index["pack"] = digest.hexdigest()
    parts = list(_divided(contents, part_bytes - len(json.dumps(index)) - _HEADER, out))
    sizes = [
        _write_part(out / f"part-{number:03d}", {**index, "part": number, "parts": len(parts)}, part)
        for number, part in enumerate(parts)
    ]
    return Packing(len(parts), len(names), sum(sizes))


def lists_of(root: Path, data: Data) -> dict[tuple[str, str], tuple[list[Pair], set[str]]]:
    """What a recipe reads: the pairs of each list, by its path and file, and the names that it holds out.

    Raises:
        DataError: as `relume.lab.data.sources.listed`.
    """
    wanted = [(source.path, source.list_file) for source in data.sources if not source.is_made]
    if not data.sources:
        wanted = [(data.pairs, "")]
    return {each: listed(root, *each) for each in wanted}


def carried(path: Path, root: Path) -> tuple[str, bytes]:
    """How an image is called where it is carried to, and its content."""
    content = path.read_bytes()
    name = path.relative_to(root)
    if path.suffix.lower() == ".jxl":
        decode(content, path)
        return name.as_posix(), content
    pixels = read_8_bits(path)
    try:
        decoded = decode(content, path)
        is_same = decoded.shape == pixels.shape and np.abs(decoded.astype(int) - pixels).max() <= _TOLERANCE
    except DataError:
        is_same = False
    return (name.as_posix(), content) if is_same else (name.with_suffix(".png").as_posix(), _png(pixels))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _divided(contents: Mapping[str, bytes], room: int, out: Path) -> Iterator[dict[str, bytes]]:
    """Parts of at most so many bytes."""
    part: dict[str, bytes] = {}
    left = room
    for name, content in contents.items():
        size = len(content) + _HEADER
        if size > room:
            raise DataError(
                f"an image of {size >> 10} KiB is larger than a part", "Raise --part-mib.", path=out
            )
        if size > left:
            yield part
            part, left = {}, room
        part[name] = content
        left -= size
    yield part


def _write_part(folder: Path, index: Mapping[str, Any], part: Mapping[str, bytes]) -> int:
    """Write one part; the index comes last, so that what has one is whole."""
    make_folder(folder)
    images = save({name: np.frombuffer(content, np.uint8) for name, content in part.items()})
    write_file(folder / IMAGES, images)
    own = {**index, "sha256": hashlib.sha256(images).hexdigest(), "images": list(part)}
    text = json.dumps(own)
    write_file(folder / INDEX, text)
    return len(images) + len(text)
