"""Manifests: which files a data set has and what they hold, so that a copy can be checked.

PNG and TIFF images are told by their *decoded pixels*, since encoders differ and a copy that passed through
another lossless format is still the same data. Where copies went through a lossy format, whose decoders
differ by a level here and there, images are told by their *appearance*: size, and the means of 8 x 8 parts,
which agree within a level and a half. Every other file is told by its bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.datasets.pairs import natural_key
from relume.errors import DataError, RelumeError
from relume.files import files_in
from relume.photo import read_photo

Progress = Callable[[int, int], None]

_FOLDER = resources.files("relume.datasets") / "manifests"
_BY_PIXELS = frozenset({".png", ".tif", ".tiff"})
_CHECKSUM = (
    "sha256: of 'HEIGHTxWIDTHxCHANNELS:' and the decoded pixels for PNG and TIFF, else of the file's bytes; "
    "or ~HEIGHTxWIDTHxCHANNELS: and, in base64, the means of 8 x 8 parts in levels of 8 bits for lossy copies"
)
_NEAR = "~"
_PARTS = 8
_TOLERANCE = 1.5
"""Levels of 8 bits: one between decoders, and half of one for rounding."""


@dataclass(frozen=True)
class Manifest:
    """What belongs to a data set.

    Attributes:
        name: of the set; a committed set lies in the folder of that name under the data root.
        title: what it is, in a line.
        source: where it comes from.
        terms: under which it may be used.
        files: path relative to the set's folder, with forward slashes -> SHA-256 in hex, or its appearance.
    """

    name: str
    title: str
    source: str
    terms: str
    files: Mapping[str, str]

    def to_json(self) -> str:
        """JSON text, one line per file."""
        content = {key: value for key, value in asdict(self).items() if key != "files"}
        return json.dumps({**content, "checksum": _CHECKSUM, "files": dict(self.files)}, indent=1) + "\n"


@dataclass(frozen=True)
class Findings:
    """How a folder differs from a manifest.

    Attributes:
        name: of the set.
        folder: that was checked.
        checked: number of files that the manifest names.
        missing: named, but not there.
        changed: there, with other contents or unreadable.
        unexpected: there, but not named.
    """

    name: str
    folder: Path
    checked: int
    missing: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    unexpected: list[str] = field(default_factory=list[str])

    @property
    def intact(self) -> bool:
        return not (self.missing or self.changed or self.unexpected)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder), "intact": self.intact}

    def summary(self, first: int = 3) -> str:
        """The differences in a line: each kind with its count and the first few names."""
        kinds = {"missing": self.missing, "changed": self.changed, "unexpected": self.unexpected}
        return "; ".join(
            f"{len(names)} {kind} ({_few(names, first)})" for kind, names in kinds.items() if names
        )


def committed_sets() -> list[str]:
    """Names of the sets whose manifests come with relume."""
    return sorted(file.name[: -len(".json")] for file in _FOLDER.iterdir() if file.name.endswith(".json"))


def read_manifest(name: str) -> Manifest:
    """A committed manifest by name, or one from a file whose name ends in `.json`.

    Raises:
        DataError: there is none, or the file is not a manifest.
    """
    file = Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
    if not file.is_file():
        raise DataError(
            f"no manifest is called '{name}'",
            f"Name one of {', '.join(committed_sets())}, or a file made by `relume data describe`.",
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Manifest(**{key: content[key] for key in Manifest.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "this is not a manifest", "`relume data describe` makes one.", path=str(file)
        ) from error


def checksum(path: Path) -> str:
    """SHA-256 of an image's pixels where its format is lossless, else of the file.

    Raises:
        RelumeError: an image that cannot be read.
    """
    if path.suffix.lower() in _BY_PIXELS:
        return pixel_checksum(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pixel_checksum(path: Path) -> str:
    """SHA-256 of what an image shows: its height, width and channels, then its pixels, whatever the format.

    Raises:
        RelumeError: the image cannot be read.
    """
    rgb_HWC = read_photo(path).rgb_HWC
    digest = hashlib.sha256("x".join(map(str, rgb_HWC.shape)).encode() + b":")
    # 16-bit pixels give the same sum on machines of either byte order.
    digest.update(np.ascontiguousarray(rgb_HWC, rgb_HWC.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def appearance(path: Path) -> str:
    """What an image looks like, coarsely: the same for copies that a lossy format or its decoders changed.

    Raises:
        RelumeError: the image cannot be read.
    """
    shape, means = _parts_of(path)
    return f"{_NEAR}{shape}:{base64.b64encode(np.rint(means).astype(np.uint8).tobytes()).decode()}"


def _parts_of(path: Path) -> tuple[str, npt.NDArray[np.float64]]:
    """An image's height, width and channels, and the means of its parts in levels of 8 bits, in rows."""
    rgb_HWC = read_photo(path).rgb_HWC
    levels = np.iinfo(rgb_HWC.dtype).max / 255
    strips = [rows.mean(axis=0) for rows in np.array_split(rgb_HWC, min(_PARTS, len(rgb_HWC)))]
    parts = [part.mean(axis=0) for row in strips for part in np.array_split(row, min(_PARTS, len(row)))]
    return "x".join(map(str, rgb_HWC.shape)), np.concatenate(parts) / levels


def _looks_like(path: Path, expected: str) -> bool:
    shape, means = _parts_of(path)
    expected_shape, _, coded = expected.removeprefix(_NEAR).partition(":")
    known = np.frombuffer(base64.b64decode(coded), np.uint8)
    return (
        shape == expected_shape and known.shape == means.shape and np.abs(known - means).max() <= _TOLERANCE
    )


def describe(
    folder: Path,
    name: str,
    terms: str,
    *,
    title: str = "",
    source: str = "",
    near: Sequence[str] = (),
    progress: Progress | None = None,
) -> Manifest:
    """Make the manifest of a folder and all folders below it; hidden files do not count.

    Args:
        near: folders in it whose PNG and TIFF images are told by their appearance.

    Raises:
        DataError: there is no such folder, or it holds no file.
        RelumeError: an image cannot be read.
    """
    paths = _files(folder)
    if not paths:
        raise DataError("the folder holds no file", "Name a folder that holds data.", path=folder)
    sums: dict[str, str] = {}
    for index, (relative, path) in enumerate(paths.items(), start=1):
        lossy = path.suffix.lower() in _BY_PIXELS and any(_within(relative, part) for part in near)
        sums[relative] = appearance(path) if lossy else checksum(path)
        if progress:
            progress(index, len(paths))
    return Manifest(name, title or name, source, terms, sums)


def verify(folder: Path, manifest: Manifest, *, only: str = "", progress: Progress | None = None) -> Findings:
    """Compare a folder with a manifest; hidden files do not count.

    Args:
        folder: the set's folder.
        manifest: what it should hold.
        only: look at this folder inside the set alone, such as `eval15`.
        progress: called with files done and in all.

    Raises:
        DataError: there is no such folder, or the manifest names no file in `only`.
    """
    named = {path: value for path, value in manifest.files.items() if _within(path, only)}
    if not named:
        raise DataError(f"the set '{manifest.name}' has no folder '{only}'", "Check --only.")
    there = {path: file for path, file in _files(folder).items() if _within(path, only)}
    findings = Findings(
        manifest.name,
        folder,
        len(named),
        missing=[path for path in named if path not in there],
        unexpected=[path for path in there if path not in named],
    )
    for index, (path, expected) in enumerate(named.items(), start=1):
        if path in there and not _matches(there[path], expected):
            findings.changed.append(path)
        if progress:
            progress(index, len(named))
    return findings


def _matches(path: Path, expected: str) -> bool:
    try:
        return _looks_like(path, expected) if expected.startswith(_NEAR) else checksum(path) == expected
    except (RelumeError, OSError, ValueError):
        # A damaged image is one more difference, not the end of the check.
        return False


def _within(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder.rstrip("/") + "/")


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by relative path, in natural order."""
    if not folder.is_dir():
        raise DataError("there is no such folder", "Check the path.", path=folder)
    files = (path for path in files_in(folder, recursive=True) if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return {name: folder / name for name in sorted(names, key=natural_key)}


def _few(names: list[str], first: int) -> str:
    return ", ".join(names[:first]) + (", ..." if len(names) > first else "")
