"""Layouts: how published sets lie on a disk, and which of their files belong together.

A set is used as it is unpacked; nothing is renamed or copied. Patterns name files relative to the set's own
folder, without suffix: `{id}` and `{scene}` stand for one part of a path each, the same on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from relume.datasets.pairs import Pair, image_name, images_by_name, list_pairs, natural_key
from relume.errors import DataError
from relume.files import files_in
from relume.photo.formats import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Part:
    """One part of a set, such as its test images.

    Attributes:
        low: pattern of the dark images; a last component of `**` takes every image at any depth.
        high: pattern of the target of each; empty for photos that are their own targets.
    """

    low: str
    high: str = ""


@dataclass(frozen=True)
class Layout:
    """How one published set lies on a disk.

    Attributes:
        name: what commands and recipes call it.
        title: what it is, in a line.
        folder: its usual place below the data root.
        source: where it comes from.
        terms: under which it may be used.
        parts: by name, `train` and `test` where the authors made them.
    """

    name: str
    title: str
    folder: str
    source: str
    terms: str
    parts: Mapping[str, Part]


def _sides(folder: str, low: str = "low", high: str = "high") -> Part:
    """Images of the same names in two folders side by side."""
    return Part(f"{folder}/{low}/{{id}}", f"{folder}/{high}/{{id}}")


_RESEARCH = "research use; no licence file came with it"

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "lol-v1",
            "LOL-v1: 485 and 15 real pairs of one camera",
            "lol_v1",
            "https://daooshee.github.io/BMVC2018website/",
            _RESEARCH,
            {"train": _sides("our485"), "test": _sides("eval15")},
        ),
        Layout(
            "lol-v2-real",
            "LOL-v2-real: 689 and 100 real pairs, a new split of what LOL-v1 was taken from",
            "lol_v2",
            "https://github.com/flyywh/CVPR-2020-Semi-Low-Light",
            _RESEARCH,
            {
                part.lower(): Part(
                    f"Real_captured/{part}/Low/low{{id}}", f"Real_captured/{part}/Normal/normal{{id}}"
                )
                for part in ("Train", "Test")
            },
        ),
        Layout(
            "lol-v2-synthetic",
            "LOL-v2-synthetic: 900 and 100 well-lit photos with darkened copies",
            "lol_v2",
            "https://github.com/flyywh/CVPR-2020-Semi-Low-Light",
            _RESEARCH,
            {part.lower(): _sides(f"Synthetic/{part}", "Low", "Normal") for part in ("Train", "Test")},
        ),
        *(
            Layout(
                f"lsrw-{camera.lower()}",
                f"LSRW: real pairs taken with a {camera} {kind}",
                "lsrw",
                "https://github.com/JianghaiSCU/R2RNet",
                _RESEARCH,
                {"train": _sides(f"Training data/{camera}"), "test": _sides(f"Eval/{camera}")},
            )
            for camera, kind in (("Huawei", "telephone"), ("Nikon", "camera"))
        ),
        Layout(
            "sice",
            "SICE: every frame of 589 exposure series, each with the series' fused reference",
            "sice",
            "https://github.com/csjcai/SICE",
            "academic, non-commercial use",
            {
                f"part{number}": Part(
                    f"Dataset_Part{number}/{{scene}}/{{id}}", f"Dataset_Part{number}/Label/{{scene}}"
                )
                for number in (1, 2)
            },
        ),
        Layout(
            "fivek",
            "MIT-Adobe FiveK: photos as taken, with an expert's retouched versions",
            "fivek",
            "https://data.csail.mit.edu/graphics/fivek/",
            "research use, by the licence files of the set",
            {
                "train": _sides("train", "input", "target"),
                "test": _sides("test", "input", "target"),
                **{
                    f"expert-{letter.lower()}": Part("input/{id}", f"expert{letter}/{{id}}")
                    for letter in "ABCDE"
                },
            },
        ),
        Layout(
            "clean",
            "Well-lit photos in any folders, each its own target; recipes darken them",
            "clean",
            "",
            "those of the photos",
            {"all": Part("**")},
        ),
    )
}
"""Every layout by name."""


def find_layout(reference: str) -> tuple[Layout, str]:
    """The layout and the name of the part that `NAME/PART` means.

    Where a layout has only one part, its name alone will do.

    Raises:
        DataError: no such layout, or no such part of it.
    """
    name, _, part = reference.strip("/").partition("/")
    if name not in LAYOUTS:
        raise DataError(f"no layout is called '{name}'", f"Name one of {', '.join(sorted(LAYOUTS))}.")
    layout = LAYOUTS[name]
    if not part and len(layout.parts) == 1:
        part = next(iter(layout.parts))
    if part not in layout.parts:
        wanted = ", ".join(f"{name}/{each}" for each in layout.parts)
        raise DataError(
            f"the layout '{name}' has no part '{part}'" if part else f"'{name}' has several parts",
            f"Name one of {wanted}.",
        )
    return layout, part


def is_layout(reference: str) -> bool:
    """Whether this means a part of a layout, as `lol-v2-real/test` does."""
    return reference.strip("/").partition("/")[0] in LAYOUTS


def layout_pairs(folder: Path, reference: str) -> list[Pair]:
    """The pairs of a part of a published set.

    Args:
        folder: where the set lies: the folder that holds `Real_captured`, `Eval` and the like.
        reference: as for `find_layout`.

    Returns:
        The pairs in natural order. A pair is called after what its pattern leaves open: `00690` for
        `low00690.png`, `12_3` for the third frame of SICE's twelfth series. Frames of one SICE series share
        their target. Photos of `clean` are both sides of their pair.

    Raises:
        DataError: no such layout; a folder of the part is missing or empty; a dark image has no target; two
            images differ in nothing but their suffix.
    """
    layout, part = find_layout(reference)
    pattern = layout.parts[part]
    if pattern.low == "**":
        return [Pair(name, path, path) for name, path in _everything(folder).items()]
    return _matched(folder, pattern, f"{layout.name}/{part}")


def pairs_in(root: Path, where: str) -> list[Pair]:
    """The pairs that a recipe names: a part of a layout, or a folder below the data root.

    Args:
        root: the data root; a layout's set lies in its usual folder there.
        where: `lol-v2-real/train`, or a folder as for `list_pairs`, such as `lol_v1/our485`.

    Raises:
        DataError: as `layout_pairs` and `list_pairs`.
    """
    if is_layout(where) and not (root / where).is_dir():
        return layout_pairs(root / find_layout(where)[0].folder, where)
    return list_pairs(root / where)


def _everything(folder: Path) -> dict[str, Path]:
    """Every image below a folder by its path without suffix, in natural order."""
    if not folder.is_dir():
        raise DataError("there is no such folder", "Check the path.", path=folder)
    images: dict[str, Path] = {}
    for path in sorted(files_in(folder, recursive=True)):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            name = "_".join((*path.relative_to(folder).parts[:-1], image_name(path)))
            other = images.setdefault(name, path)
            if other is not path:
                raise DataError(f"{other} would be called '{name}' too", "Rename one of them.", path=path)
    if not images:
        raise DataError("the folder holds no image", "Name a folder that holds images.", path=folder)
    return dict(sorted(images.items(), key=lambda item: natural_key(item[0])))


def _matched(folder: Path, pattern: Part, reference: str) -> list[Pair]:
    """Dark images that fit a pattern, each with its target."""
    found: dict[str, Pair] = {}

    @cache
    def images(place: Path) -> dict[str, Path]:
        return images_by_name(place) if place.is_dir() else {}

    for place in _folders(folder, PurePosixPath(pattern.low).parent, reference):
        for fields, low in _fitting(place, pattern.low, folder):
            wanted = folder / pattern.high.format(**fields)
            target = images(wanted.parent).get(wanted.name)
            if target is None:
                raise DataError(
                    f"its target {wanted} is missing", "Unpack the set again, or remove the image.", path=low
                )
            name = "_".join(fields.values())
            found[name] = Pair(name, low, target)
    if not found:
        raise DataError(
            f"no image fits the layout {reference}", f"It wants files like {pattern.low}.", path=folder
        )
    return [found[name] for name in sorted(found, key=natural_key)]


def _folders(folder: Path, wanted: PurePosixPath, reference: str) -> list[Path]:
    """The folders of dark images: one, or one for each `{scene}`."""
    if "{scene}" not in wanted.name:
        places = [folder / wanted] if (folder / wanted).is_dir() else []
    else:
        above = folder / wanted.parent
        inside = sorted(above.iterdir()) if above.is_dir() else []
        places = [path for path in inside if path.is_dir() and path.name.casefold() != "label"]
    if not places:
        raise DataError(
            f"the layout {reference} wants a folder {wanted} here",
            "Name the folder that the set was unpacked to.",
            path=folder,
        )
    return places


def _fitting(place: Path, pattern: str, folder: Path) -> list[tuple[dict[str, str], Path]]:
    """Images of a folder that fit a pattern, with what its fields stand for."""
    escaped = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}")
    form = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped))
    fitting: list[tuple[dict[str, str], Path]] = []
    for name, path in images_by_name(place).items():
        match = form.fullmatch((place.relative_to(folder) / name).as_posix())
        if match:
            fitting.append((match.groupdict(), path))
    return fitting
