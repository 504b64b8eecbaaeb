"""Writing shards: see `relume.lab.data.shards`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from relume.datasets.pairs import Pair
from relume.errors import OutputExists
from relume.files import check_folder, holds_anything, make_folder, replacing, write_file
from relume.lab.data.pack import Progress, carried, lists_of
from relume.lab.data.packed import decode
from relume.lab.data.paired import shrunk
from relume.lab.data.shards import FORMAT, INDEX, shard_name
from relume.lab.recipe import Data

_BLOCK = 512
"""Bytes that a tar file counts in."""

_LAST = 20 * _BLOCK
"""Bytes that its end may take."""


@dataclass
class Sharding:
    """What was written.

    Attributes:
        shards: files by name, with size and hash.
        images: by name: shard and member, height, width and means.
        samples: pairs.
    """

    shards: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    images: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    samples: int = 0

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(each["size"] for each in self.shards.values())


class _Sample(NamedTuple):
    """A pair on its way into a shard.

    Attributes:
        list: path and file of the list that it is in.
        held_out: by the list itself.
    """

    list: tuple[str, str]
    pair: Pair
    held_out: bool


def shard(
    root: Path, data: Data, out: Path, shard_bytes: int, seed: int, progress: Progress | None = None
) -> Sharding:
    """Write all pairs that a recipe reads into shards, in an order shuffled by seed.

    Files are carried as in a pack. One pair after another is read, so that memory sets no limit.

    Args:
        root: data root.
        data: the recipe's part.
        out: folder to make.
        shard_bytes: size of a shard, at most, unless a single pair is larger.
        progress: called with pairs done and in all.

    Raises:
        DataError: as for training.
        OutputExists: the folder is there and not empty.
        OutputUnwritable: no permission, no space.
    """
    check_folder(out)
    if holds_anything(out):
        raise OutputExists("the folder is not empty", "Name another --out.", path=out)
    lists = lists_of(root, data)
    samples = [
        _Sample(where, pair, pair.name in held_out)
        for where, (pairs, held_out) in lists.items()
        for pair in pairs
    ]
    order: list[int] = np.random.default_rng(seed).permutation(len(samples)).tolist()
    make_folder(out)
    writer = _Writer(root, out, shard_bytes, _lengths(data))
    with writer:
        for number, position in enumerate(order):
            writer.add(f"{number:08d}", samples[position])
            if progress:
                progress(number + 1, len(samples))
    index = {
        "format": FORMAT,
        "seed": seed,
        "lists": [
            {
                "path": path,
                "list_file": list_file,
                "pairs": [(pair.name, writer.names[pair.low], writer.names[pair.high]) for pair in pairs],
                "held_out": sorted(held_out),
            }
            for (path, list_file), (pairs, held_out) in lists.items()
        ],
        "shards": writer.done.shards,
        "images": writer.done.images,
    }
    write_file(out / INDEX, json.dumps(index))
    return writer.done


def _lengths(data: Data) -> set[int]:
    """Long sides that the recipe shrinks images to, and looks at their means."""
    return {source.longest for source in data.sources if source.least_mean}


class _Writer:
    """Samples into shards, each of which appears when it is whole."""

    def __init__(self, root: Path, out: Path, shard_bytes: int, lengths: set[int]) -> None:
        self._root, self._out, self._most, self._lengths = root, out, shard_bytes, lengths
        self.done = Sharding()
        self.names: dict[Path, str] = {}
        self._open = ExitStack()
        self._tar: tarfile.TarFile | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None:
            self._end()
        else:
            self._open.__exit__(kind, error, trace)

    def add(self, key: str, sample: _Sample) -> None:
        """Write a sample, into the next shard if this one has no room."""
        sides = {"low": sample.pair.low, "high": sample.pair.high}
        if sample.pair.low == sample.pair.high:
            del sides["low"]
        files: dict[str, bytes] = {}
        images: dict[str, dict[str, Any]] = {}
        for side, path in sides.items():
            name, content = carried(path, self._root)
            member = f"{key}.{side}{Path(name).suffix.lower()}"
            files[member] = content
            self.names[path] = name
            if name not in self.done.images:
                images[name] = {"member": member, **self._facts(content, Path(name))}
        (path, list_file), pair, held_out = sample
        about = {"list": path, "list_file": list_file, "name": pair.name, "held_out": held_out}
        files[f"{key}.json"] = json.dumps(about).encode()
        shard = self._room(sum(_BLOCK - (-len(each) // _BLOCK) * _BLOCK for each in files.values()))
        for member, content in files.items():
            self._put(member, content)
        self.done.images |= {name: {"shard": shard, **each} for name, each in images.items()}
        self.done.samples += 1

    def _facts(self, content: bytes, path: Path) -> Mapping[str, Any]:
        image_HWC = decode(content, path)
        height, width = image_HWC.shape[:2]
        means = {str(longest): float(shrunk(image_HWC, longest).mean()) for longest in self._lengths}
        return {"height": height, "width": width, "means": means}

    def _room(self, size: int) -> str:
        """The name of a shard that has so much room."""
        if self._file is not None and self._file.tell() + size + _LAST > self._most:
            self._end()
        if self._tar is None:
            name = shard_name(len(self.done.shards))
            self._file = self._open.enter_context(replacing(self._out / name))
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        return shard_name(len(self.done.shards))

    def _put(self, member: str, content: bytes) -> None:
        assert self._tar is not None  # noqa: S101
        about = tarfile.TarInfo(member)  # of no time and nobody, so that the same data gives the same bytes
        about.size = len(content)
        self._tar.addfile(about, io.BytesIO(content))

    def _end(self) -> None:
        """Let a shard appear."""
        if self._tar is None or self._file is None:
            return
        name = shard_name(len(self.done.shards))
        self._tar.close()
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
        self.done.shards[name] = {"size": self._file.tell(), "sha256": digest}
        self._open.close()
        self._tar = self._file = None
