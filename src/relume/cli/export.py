"""`relume export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from relume.cli import completion
from relume.cli.console import report
from relume.cli.laboratory import require_laboratory
from relume.errors import OutputExists, UsageError
from relume.files import check_folder, holds_anything, read_json


def export(
    run: Annotated[
        str,
        typer.Argument(
            help="Folder of a finished run; with --to also a model's name or card.", metavar="RUN"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    name: Annotated[str, typer.Option(help="Name of a run's model; by default that of its folder.")] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="onnx, onnx-fp16, onnx-int8, openvino, onnx-whole, onnx-whole-8bit, onnx-steps, pt2 or "
            "darktable; without it, relume's own files of a run.",
            autocompletion=completion.export_formats,
        ),
    ] = "",
    photo: Annotated[
        Path | None,
        typer.Option(
            help="With --to: a dark photo to compare the format's pictures on; all but onnx-steps need one."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="With --to onnx-int8: a folder of dark photos; without it, the model's own graph of 8 bits."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    about: Annotated[
        Path | None,
        typer.Option(
            help="JSON with the card's summary, data, terms, limits and metrics; an earlier card serves."
        ),
    ] = None,
) -> None:
    """Export a finished run as ONNX graphs with half-precision weights, and a model card.

    With --to, write a run or a model in another program's format, and beside it how far its pictures are from
    relume's own; beyond the format's limits nothing else is written.
    """
    require_laboratory()
    check_folder(out)
    told: dict[str, Any] = {} if about is None else read_json(about)
    if to:
        _convert(run, name, to, out, photo, calibration, force, told)
        return
    if not name:
        raise UsageError("the model has no name", "Give one with --name.")
    target = out / f"{name}.json"
    if target.exists() and not force:
        raise OutputExists("holds an exported model already", "Add --force to replace it.", path=target)
    from relume.lab.export import export_run

    card = export_run(Path(run), name, out, told)
    report(f"wrote the card {target} and its graphs {', '.join(card.files)}")


def _convert(
    run: str,
    name: str,
    to: str,
    out: Path,
    photo: Path | None,
    calibration: Path | None,
    force: bool,
    about: dict[str, Any],
) -> None:
    if photo is None and to != "onnx-steps":
        raise UsageError("there is no photo to compare on", "Name a dark one with --photo.")
    if not force and holds_anything(out):
        raise OutputExists("holds files already", "Add --force to write among them.", path=out)
    from relume.lab.formats import check_request, convert, source_of
    from relume.photo import read_photo

    check_request(to, out, calibration, of_run=Path(run).is_dir())
    pixels_HWC = None if photo is None else read_photo(photo).rgb_HWC
    source = source_of(run, name, about)
    paths, rows = convert(source, to, out, pixels_HWC, calibration)
    report(f"wrote {', '.join(map(str, paths))}")
    for row in rows:
        report(f"{row.width} x {row.height}: at most {row.largest:g} of 255 levels off, {row.psnr:.1f} dB")
