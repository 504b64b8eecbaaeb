"""Reading shards: the pairs of a recipe in tar files after WebDataset's convention, read as training goes.

A shard holds samples, `00000012.low.png`, `00000012.high.png` and `00000012.json` each, in an order shuffled
by seed, so that what reads shards one after another sees a mixture. Training reads by position instead: its
batches are those of the folders that the shards were made from. The index, written last, says which images
there are; a path leads through the shard to the name that the image had:
`shard-000000.tar/lol_v1/our485/low/2.png`.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from relume.errors import DataError
from relume.files import read_json

INDEX = "shards.json"
FORMAT = "relume-shards-1"
_SHARD = re.compile(r"shard-\d{6}\.tar")


@dataclass(frozen=True)
class Facts:
    """What is known of an image without reading it.

    Attributes:
        height, width: in pixels.
        means: of its values from 0 to 255, by the long side that it is shrunk to; 0 for none.
    """

    height: int
    width: int
    means: Mapping[int, float]


def is_in_shard(path: Path) -> bool:
    """Whether a path leads into a shard."""
    return any(_SHARD.fullmatch(part) for part in path.parts)


def shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"


@cache
def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of a folder of shards, all of which are there in full; None of another folder.

    Raises:
        DataError: a shard is missing or not whole, or the index is none.
    """
    file = folder / INDEX
    if not file.is_file():
        return None
    index: Any = read_json(file)
    keys = ("shards", "lists", "images")
    if not isinstance(index, dict) or index.get("format") != FORMAT or any(key not in index for key in keys):
        raise DataError("this is not an index of shards", "Copy the shards again.", path=file)
    for name, about in index["shards"].items():
        path = folder / name
        if not _SHARD.fullmatch(name) or not path.is_file() or path.stat().st_size != about["size"]:
            raise DataError("the shard is missing or not whole", "Copy it again.", path=path)
    return index


def places_in(folder: Path, index: Mapping[str, Any]) -> dict[str, Path]:
    """The path of each image by its name."""
    return {name: folder / about["shard"] / name for name, about in index["images"].items()}


def facts_of(path: Path) -> Facts:
    """What the index says of an image in a shard."""
    about = _about(path)
    means = {int(longest): float(mean) for longest, mean in about["means"].items()}
    return Facts(about["height"], about["width"], means)


def read_image(path: Path) -> bytes:
    """The bytes of an image in a shard; no other is read.

    Raises:
        DataError: it is not there.
    """
    place = _place(path)
    descriptor, members = _members(Path(*path.parts[: place + 1]))
    try:
        at, size = members[_about(path)["member"]]
        content = os.pread(descriptor, size, at)  # leaves no position behind, which processes would share
    except (KeyError, OSError) as error:
        raise DataError("the shard has no such file", "Copy it again.", path=path) from error
    if len(content) < size:
        raise DataError("the shard ends too early", "Copy it again.", path=path)
    return content


def _place(path: Path) -> int:
    return next(place for place, part in enumerate(path.parts) if _SHARD.fullmatch(part))


def _about(path: Path) -> dict[str, Any]:
    place = _place(path)
    index = read_index(Path(*path.parts[:place])) or {}
    return index["images"]["/".join(path.parts[place + 1 :])]


@cache
def _members(shard: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """A descriptor of a shard, which stays open, and where its files begin and how long they are."""
    try:
        with tarfile.open(shard, "r:") as tar:
            members = {each.name: (each.offset_data, each.size) for each in tar if each.isreg()}
        return os.open(shard, os.O_RDONLY), members
    except (OSError, tarfile.TarError) as error:
        raise DataError("the shard cannot be read", "Copy it again.", path=shard) from error
