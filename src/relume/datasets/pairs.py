"""Which result belongs to which target: by file name, never by position in a sorted list."""

from __future__ import annotations

import csv
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from relume.errors import DataError
from relume.photo.formats import IMAGE_SUFFIXES

LIST = "pairs.csv"
"""In a set of pairs, the file that lists its frames as `scene,low,high`."""


@dataclass(frozen=True)
class Pair:
    """Two files that show the same scene.

    Attributes:
        name: what both files are called, without the suffix.
        low: the dark photo, or a result made from it.
        high: the target.
    """

    name: str
    low: Path
    high: Path


def find_pairs(low: Path, high: Path) -> list[Pair]:
    """Pairs of two folders, or of two single files.

    In folders, files of the same name belong together; their suffixes may differ (`22.jxl` and `22.png`).
    Hidden files, subfolders and files that are not images by their suffix are passed over. Two single files
    are one pair whatever their names are; it is called after the dark one.

    >>> [pair.name for pair in find_pairs(Path("low"), Path("high"))]
    ['1', '2']

    Args:
        low: folder of dark photos (or of results), or one file.
        high: folder of targets, or one file.

    Returns:
        The pairs in natural order: `2` before `10`.

    Raises:
        DataError: a folder is missing or holds no image; a file has no partner; two files of a folder differ
            in nothing but their suffix; one path is a folder and the other a file.
    """
    for path in (low, high):
        if not path.exists():
            raise DataError("there is no such file or folder", "Check the path.", path=path)
    if low.is_file() and high.is_file():
        return [Pair(image_name(low), low, high)]
    if low.is_file() or high.is_file():
        raise DataError(
            f"this is {_kind(low)}, but {high} is {_kind(high)}", "Name two folders or two files.", path=low
        )
    lows, highs = images_by_name(low), images_by_name(high)
    _require_partners(lows, highs, high)
    _require_partners(highs, lows, low)
    return [Pair(name, lows[name], highs[name]) for name in sorted(lows, key=natural_key)]


def pairs_of(low: Path, high: Path | None) -> list[Pair] | None:
    """Pairs of two folders or files, of one set of pairs or of a list; None for photos without targets.

    Raises:
        DataError: as `find_pairs`, `list_pairs` and `listed_pairs`.
    """
    if high is not None:
        return find_pairs(low, high)
    if low.suffix.lower() == ".csv" and low.is_file():
        return listed_pairs(low)
    is_set = (low / LIST).is_file() or all((low / side).is_dir() for side in ("low", "high"))
    return list_pairs(low) if is_set else None


def list_pairs(folder: Path) -> list[Pair]:
    """Pairs of a set: those that its `pairs.csv` lists (called after the dark frame), or those of its `low/`
    and `high/`.

    Raises:
        DataError: an image, a column or all of them are missing, or the list cannot be read.
    """
    file = folder / LIST
    if not file.is_file():
        return find_pairs(folder / "low", folder / "high")
    return listed_pairs(file)


def listed_pairs(file: Path) -> list[Pair]:
    """The pairs of a list, called after the dark frame.

    Its columns are `low` and `high`, both in the folder `frames` beside it; or `low_folder`, a folder beside
    that of the list, `low` in it, and `fused`, in the folder `fused` beside the list.

    Raises:
        DataError: an image, a column or all of them are missing, the list cannot be read, or two dark images
            have one name.
    """
    pairs = [Pair(image_name(low), low, high) for low, high in _listed(file)]
    seen: dict[str, Pair] = {}
    for pair in pairs:
        other = seen.setdefault(pair.name, pair)
        if other.low != pair.low:
            raise DataError(
                f"the list has two pairs called '{pair.name}': {other.low} and {pair.low}",
                "Rename one of the dark images.",
                path=file,
            )
    for path in (path for pair in pairs for path in (pair.low, pair.high)):
        if not path.is_file():
            raise DataError("the list names an image that is not there", "Get the set again.", path=path)
    return pairs


def images_by_name(folder: Path) -> dict[str, Path]:
    """The images of a folder by name; hidden files, subfolders and other files are passed over.

    Raises:
        DataError: the folder is missing, may not be read or holds no image; two images differ in nothing but
            their suffix.
    """
    images: dict[str, Path] = {}
    try:
        files = sorted(folder.iterdir())
    except NotADirectoryError as error:
        raise DataError("this is a file", "Name the folder that holds it.", path=folder) from error
    except OSError as error:
        raise DataError(f"the folder cannot be read ({error.strerror})", "Check it.", path=folder) from error
    for path in files:
        # Formats that relume does not read count too: so reading names the file, instead of it being missed.
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            continue
        other = images.setdefault(image_name(path), path)
        if other is not path:
            raise DataError(
                f"{other.name} has the same name, so it is unclear which of them to compare",
                "Keep one of the two.",
                path=path,
            )
    if not images:
        raise DataError("the folder holds no image", "Name a folder that holds images.", path=folder)
    return images


def image_name(path: Path) -> str:
    """The name without suffix, composed, since some file systems store accents apart from their letters."""
    return unicodedata.normalize("NFC", path.stem)


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key under which numbers inside names count as numbers: `img2` comes before `img10`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), name


def _listed(file: Path) -> list[tuple[Path, Path]]:
    """Dark and well-lit image of each line of a list of pairs."""
    heading = "It needs a heading `scene,low,high`, and lines with all three."
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        said = getattr(error, "strerror", None) or "it is not a CSV file in UTF-8"
        raise DataError(f"the list cannot be read ({said})", "Get the set again.", path=file) from error
    of_series = bool(rows) and {"low_folder", "low", "fused"} <= rows[0].keys()
    columns = ("low_folder", "low", "fused") if of_series else ("low", "high")
    if not rows or not set(columns) <= rows[0].keys():
        raise DataError("it lists no pairs", heading, path=file)
    for number, row in enumerate(rows, start=1):
        if not all(row[column] for column in columns):
            raise DataError(f"its line {number} below the heading names no pair", heading, path=file)
    folder = file.parent
    if of_series:
        return [
            (folder.parent / row["low_folder"] / row["low"], folder / "fused" / row["fused"]) for row in rows
        ]
    return [(folder / "frames" / row["low"], folder / "frames" / row["high"]) for row in rows]


def _require_partners(images: dict[str, Path], partners: dict[str, Path], folder: Path) -> None:
    alone = sorted(images.keys() - partners.keys(), key=natural_key)
    if not alone:
        return
    others = f", nor have {len(alone) - 1} others of its folder" if len(alone) > 1 else ""
    raise DataError(
        f"it has no partner of the name {alone[0]} in {folder}{others}",
        "Give both folders files of the same names; only the suffix may differ.",
        path=images[alone[0]],
    )


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file"
