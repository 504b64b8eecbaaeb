"""Reading packs: the images of a recipe in a few large files that travel well.

A pack consists of parts, folders with an index and a file of images each. Every part's index lists all pairs,
so that a missing part is noticed. An image keeps the bytes of its original file; its path leads through the
file that holds it: `part-000/images.safetensors/lol_v1/our485/low/2.jxl`. Pillow decodes it, without libvips.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from safetensors import safe_open

from relume.datasets.pairs import Pair
from relume.errors import DataError, MissingExtra
from relume.files import read_json
from relume.lab.data.shards import is_in_shard, places_in, read_image, read_index

INDEX = "index.json"
IMAGES = "images.safetensors"
FORMAT = "relume-pack-1"

Roots = Path | Sequence[Path]
"""A data root, or a pack: the folder of its parts, or the parts."""


@dataclass(frozen=True)
class Pack:
    """A pack of which all parts are there.

    Attributes:
        folder: one that tells people which pack is meant.
        places: path of each image by its name in the pack.
        lists: the lists of pairs.
    """

    folder: Path
    places: Mapping[str, Path]
    lists: Sequence[Mapping[str, Any]]

    def listed(self, path: str, list_file: str) -> tuple[list[Pair], set[str]]:
        """The pairs of a list, with paths that `read_packed` reads, and the names that the list holds out.

        Raises:
            DataError: the pack has no such list.
        """
        for known in self.lists:
            if (known["path"], known["list_file"]) == (path, list_file):
                pairs = [
                    Pair(name, self.places[low], self.places[high]) for name, low, high in known["pairs"]
                ]
                return pairs, set(known["held_out"])
        raise DataError(
            f"the pack has no list {list_file or 'of pairs'} of {path}",
            "Pack the recipe that is trained by: relume data pack RECIPE -o FOLDER",
            path=self.folder,
        )


def as_roots(roots: Roots) -> list[Path]:
    """The folders that stand for the data."""
    return [roots] if isinstance(roots, Path) else list(roots)


def only_root(roots: Roots) -> Path:
    """The one data root.

    Raises:
        DataError: there are several folders.
    """
    folders = as_roots(roots)
    if len(folders) != 1:
        raise DataError(
            "of several data folders none is a part of a pack", "Name one data root.", path=folders[0]
        )
    return folders[0]


def open_pack(roots: Roots) -> Pack | None:
    """The pack whose parts these folders are or hold, or the shards; None where they are neither.

    Raises:
        DataError: a part or shard is missing, damaged, or of another pack.
    """
    if are_shards(roots):
        folder = only_root(roots)
        index = read_index(folder) or {}
        return Pack(folder, places_in(folder, index), index["lists"])
    folders = [part for root in as_roots(roots) for part in _parts(root)]
    if not folders:
        return None
    indices = {folder: _index(folder) for folder in folders}
    first, known = next(iter(indices.items()))
    for folder, index in indices.items():
        if index["pack"] != known["pack"]:
            raise DataError(f"it belongs to another pack than {first}", "Name the parts of one.", path=folder)
    missing = set(range(known["parts"])) - {index["part"] for index in indices.values()}
    if missing:
        numbers = ", ".join(str(number + 1) for number in sorted(missing))
        raise DataError(
            f"of {known['parts']} parts of the pack number {numbers} is missing", "Name them all.", path=first
        )
    places: dict[str, Path] = {}
    for folder, index in indices.items():
        file = folder / IMAGES
        status = file.stat() if file.is_file() else None
        if status is None or _checksum(file, status.st_mtime_ns) != index["sha256"]:
            raise DataError("the file of images is missing or damaged", "Copy the part again.", path=file)
        places |= {name: file / name for name in index["images"]}
    return Pack(first, places, known["lists"])


def are_shards(roots: Roots) -> bool:
    """Whether any of these folders holds shards.

    Raises:
        DataError: some are not whole.
    """
    return any(read_index(root) is not None for root in as_roots(roots))


def is_packed(path: Path) -> bool:
    """Whether a path leads into a pack or a shard."""
    return IMAGES in path.parts or is_in_shard(path)


def read_packed(path: Path) -> npt.NDArray[np.uint8]:
    """The pixels of an image in a pack or a shard, H x W x 3.

    Raises:
        DataError: it is damaged.
        MissingExtra: it is JPEG XL, and the decoder is not installed.
    """
    if is_in_shard(path):
        return decode(read_image(path), path)
    place = path.parts.index(IMAGES) + 1
    content = _container(Path(*path.parts[:place])).get_tensor("/".join(path.parts[place:]))
    return decode(content.tobytes(), path)


def decode(content: bytes, path: Path) -> npt.NDArray[np.uint8]:
    """The pixels of a file's content, H x W x 3; errors name the path.

    Raises:
        DataError, MissingExtra: as `read_packed`.
    """
    if path.suffix.lower() == ".jxl":
        if find_spec("pillow_jxl") is None:
            raise MissingExtra("JPEG XL needs pillow-jxl-plugin", "Run: pip install pillow-jxl-plugin")
        import pillow_jxl  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers the decoder
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # decoders raise errors of their own
        raise DataError("the image cannot be decoded", "Get the file again.", path=path) from error


@cache
def _container(file: Path) -> Any:
    return safe_open(file, "numpy")


@cache
def _checksum(file: Path, _changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _parts(root: Path) -> list[Path]:
    """The folder itself if it is a part, else the parts in it."""
    if (root / INDEX).is_file() and (root / IMAGES).is_file():
        return [root]
    inside = sorted(root.iterdir()) if root.is_dir() else []
    return [folder for folder in inside if (folder / INDEX).is_file() and (folder / IMAGES).is_file()]


def _index(folder: Path) -> dict[str, Any]:
    index = read_json(folder / INDEX)
    wanted = ("pack", "part", "parts", "sha256", "images", "lists")
    if (
        not isinstance(index, dict)
        or index.get("format") != FORMAT
        or any(key not in index for key in wanted)
    ):
        raise DataError("this is not an index of a pack", "Copy the part again.", path=folder / INDEX)
    return index
