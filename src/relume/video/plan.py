"""Which files are clips, and where the result of each goes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from relume.errors import OutputUnwritable, UsageError
from relume.jobs.inputs import MARK, Kind
from relume.jobs.places import is_folder
from relume.jobs.plan import Job, check_targets

WRITABLE = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""Suffixes of clips that are written; `relume.video.encode` says how."""

FORMATS = ("mp4", "mov", "mkv", "webm")
"""Containers that can be asked for."""

CLIPS = Kind(
    "clip",
    frozenset(
        {
            *WRITABLE,
            *(
                ".3g2",
                ".3gp",
                ".asf",
                ".avi",
                ".divx",
                ".dv",
                ".f4v",
                ".flv",
                ".h264",
                ".h265",
                ".hevc",
            ),
            *(
                ".ivf",
                ".m1v",
                ".m2ts",
                ".m2v",
                ".mjpeg",
                ".mjpg",
                ".mpe",
                ".mpeg",
                ".mpg",
                ".mts",
                ".mxf",
                ".nut",
            ),
            *(".ogm", ".ogv", ".rm", ".rmvb", ".ts", ".vob", ".wmv", ".y4m"),
        }
    ),
)
"""What is looked for in folders; any other clip can be named outright."""

PREVIEW_MARK = f".preview{MARK}"
"""Stands before the suffix of a preview that lies beside its clip, as `MARK` does of a result."""

_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,4}")
"""Of a file's name; a folder's, such as `2026.11`, may have a point as well."""


def plan_clips(
    inputs: Sequence[tuple[Path, Path]],
    output: Path | None,
    format_name: str = "",
    *,
    preview: bool = False,
    left_out: int = 0,
) -> list[Job]:
    """Decide every target before anything is read; folders are mirrored below the output folder.

    Args:
        inputs: clips, each with the folder that its place is relative to.
        output: a file for one clip, else a folder; None puts `NAME.relume.EXT` beside each.
        format_name: one of `FORMATS`; "" keeps each input's container where it is one of them, else MP4.
        preview: name results beside their clips `NAME.preview.relume.EXT`.
        left_out: how many more inputs were named, which are no clips to enhance.

    Raises:
        OutputExists: a target is an input, or the target of two inputs.
        OutputUnwritable: a file where a folder is needed.
        UsageError: no such format, or one that contradicts the output's name; or the name of a file that
            relume does not write, still to be made, where a folder is needed.
    """
    if format_name and format_name not in FORMATS:
        raise UsageError(f"no container is called '{format_name}'", f"Choose from: {', '.join(FORMATS)}.")
    one = _is_one_file(inputs) and not left_out
    single = output if output is not None and one and _looks_like_a_clip(output) else None
    if single is not None and format_name and single.suffix.lower() != f".{format_name}":
        raise UsageError(
            f"--format {format_name} contradicts the output's name", "Change one of them.", path=single
        )
    if output is not None and single is None:
        _check_folder(output, one)
    mark = PREVIEW_MARK if preview else MARK
    jobs = [
        Job(source, single or _target(source, base, output, format_name, mark)) for source, base in inputs
    ]
    check_targets(jobs)
    return jobs


def _looks_like_a_clip(output: Path) -> bool:
    return output.suffix.lower() in WRITABLE and not is_folder(output)


def _is_one_file(inputs: Sequence[tuple[Path, Path]]) -> bool:
    """Whether there is one clip, which was named itself rather than found in a folder."""
    return len(inputs) == 1 and inputs[0][0].parent == inputs[0][1]


def _check_folder(folder: Path, for_one: bool) -> None:
    """Refuse what is no folder, or looks like a file's name: for one clip, whatever has an ending."""
    if is_folder(folder):
        return
    ending = folder.suffix.lower()
    if for_one and _ENDING.fullmatch(ending):
        named = f"Choose one of {', '.join(WRITABLE)}, or make the folder first."
        raise UsageError(f"relume writes no {ending} clips", named, path=folder)
    if os.path.lexists(folder):
        raise OutputUnwritable("this is not a folder", "Name a folder for the results.", path=folder)
    if ending in CLIPS.suffixes:
        raise UsageError(
            "this is a file's name, but the results need a folder", "Name a folder.", path=folder
        )


def _target(source: Path, base: Path, folder: Path | None, format_name: str, mark: str) -> Path:
    own = source.suffix if source.suffix.lower() in WRITABLE else ".mp4"
    suffix = f".{format_name}" if format_name else own
    if folder is None:
        return source.with_name(f"{source.stem}{mark}{suffix}")
    return folder / source.relative_to(base).with_suffix(suffix)
