"""A model in the formats of other programs, with a report of how far their pictures are from relume's own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from relume.arrays import EightBits, Pixels
from relume.errors import ModelError, OutputUnwritable, UsageError
from relume.files import check_folder, make_folder, write_file
from relume.jobs.inputs import find_inputs
from relume.lab.darktable import Darktable, bundle, model_id, script
from relume.lab.export import export_run
from relume.lab.graphs import step_graphs, whole_graph
from relume.lab.programs import ProgramEngine, programs
from relume.lab.quantize import in_half, in_single, quantized, samples
from relume.look.model import Model
from relume.look.render import enhance_photo
from relume.models import Card, graph_names, load_card, load_graph
from relume.models.card import graphs_for, has_precision
from relume.models.engines import Engine, OnnxEngine, load_engine
from relume.models.engines.base import one_line
from relume.options import MODEL_ALONE, Controls
from relume.photo import Photo

SIZES = ((600, 400), (1920, 1080), (517, 331))
"""Width and height of what is compared: a small photo, a large one, and one of odd sides."""

FORMATS = (
    "onnx",
    "onnx-fp16",
    "onnx-int8",
    "openvino",
    "onnx-whole",
    "onnx-whole-8bit",
    "onnx-steps",
    "pt2",
    "darktable",
)

_LIMITS = {"onnx-fp16": (2.0, 60.0), "onnx-int8": (16.0, 42.0)}
"""Largest difference in steps of 8 bits, and least PSNR in dB, between a format's picture and relume's."""

_EXACT = (1.0, 55.0)


@dataclass(frozen=True)
class Source:
    """What is converted.

    Attributes:
        card: the model's card.
        parts: its graphs, `global` and `local`.
        integers: its own local graph of 8 bits; b"" without one.
    """

    card: Card
    parts: Mapping[str, bytes]
    integers: bytes = b""


def source_of(model: str, name: str = "", about: Mapping[str, Any] | None = None) -> Source:
    """A shipped model by its name, another by its card, or a finished run by its folder.

    Args:
        model: name, card or folder.
        name: what a run's model is called; by default as its folder.
        about: see `export_run`.

    Raises:
        ModelError: no such model or run, or it is of one graph.
        RelumeError: as `export_run`.
    """
    if not Path(model).is_dir():
        card = load_card(model)
        own = graphs_for(card, "int8")["local"] if has_precision(card, "int8") else ""
        return Source(
            card,
            {part: load_graph(model, card, file) for part, file in card.graphs.items()},
            load_graph(model, card, own) if own else b"",
        )
    with TemporaryDirectory(prefix="relume-") as folder:
        card = export_run(Path(model), name or Path(model).resolve().name, Path(folder), about or {})
        parts = {part: (Path(folder) / file).read_bytes() for part, file in card.graphs.items()}
    return Source(card, parts)


@dataclass(frozen=True)
class Parity:
    """How far a format's picture is from that of relume's own graphs, in steps of 8 bits.

    Those graphs are compared with PyTorch's network when a run is exported; see the card's
    `largest_difference`.

    Attributes:
        format, model: what was compared.
        width, height: of the picture.
        largest, mean: difference of any pixel, and of all.
        psnr: between the two pictures, in dB, at most 100.
        within: whether they are within the format's limits.
    """

    format: str
    model: str
    width: int
    height: int
    largest: float
    mean: float
    psnr: float
    within: bool


Run = Callable[[EightBits], EightBits]


def check_request(
    format: str,  # noqa: A002
    folder: Path,
    calibration: Path | None,
    *,
    of_run: bool = False,
) -> None:
    """Refuse what would fail only when a run has been exported, which takes a while.

    Args:
        format, folder, calibration: as for `convert`.
        of_run: whether it is a run that is converted, which has no graph of 8 bits.

    Raises:
        UsageError: an unknown format, or one that needs what was not given.
        InputUnreadable: there is no photo to calibrate on.
        OutputUnwritable: the folder cannot be made or written into.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format '{format}'", f"Choose one of {', '.join(FORMATS)}.")
    check_folder(folder)
    if format == "onnx-int8" and calibration is not None:
        find_inputs([str(calibration)], recursive=None)
    elif format == "onnx-int8" and of_run:
        raise uncalibrated()


def uncalibrated() -> UsageError:
    """The error of a run that has no graph of 8 bits yet, and no photos to make one by."""
    return UsageError("onnx-int8 is calibrated on dark photos", "Name a folder with --calibration.")


def convert(
    source: Source,
    format: str,  # noqa: A002
    folder: Path,
    photo: Pixels | None,
    calibration: Path | None = None,
) -> tuple[list[Path], list[Parity]]:
    """Write a model in a format, and compare what it makes of a photo with what relume does.

    Args:
        source: the model.
        format: one of `FORMATS`.
        folder: where the files go, and the report as `NAME.FORMAT.parity.csv`.
        photo: a dark photo, H x W x 3, which `onnx-steps` does not need; it is repeated or cut to `SIZES`.
        calibration: for `onnx-int8`, a folder of dark photos; without it, the model's own graph of 8 bits.

    Returns:
        The files, and the report.

    Raises:
        ModelError: the model has one graph alone, or the format's pictures are too far from relume's; then
            only the report is written.
        UsageError: an unknown format, or one that needs what was not given.
    """
    check_request(format, folder, calibration)
    if source.card.thumbnail_size is None:
        raise ModelError("a model of one graph is a single ONNX file already", "Use that.")
    files, run = _MAKERS[format](source, calibration)
    if photo is None and run is not None:
        raise UsageError("there is no photo to compare on", "Give a dark one.")
    rows = [] if run is None or photo is None else _compare(source, format, run, _in_8_bits(photo))
    make_folder(folder)
    report = folder / f"{source.card.name}.{format}.parity.csv"
    reports = {report: as_csv(rows)} if rows else {}
    if not all(row.within for row in rows):
        _write_together(reports)
        raise ModelError("the format's pictures are too far from relume's", "See the report.", path=report)
    wanted = {**{folder / name: content for name, content in files.items()}, **reports}
    _write_together(wanted)
    return list(wanted), rows


def _write_together(files: Mapping[Path, bytes | str]) -> None:
    """Write files that are of use together only: if one cannot be written, those that are new go again."""
    new = [path for path in files if not path.exists()]
    try:
        for path, content in files.items():
            write_file(path, content)
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def as_csv(rows: Sequence[Parity]) -> str:
    """A report as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Parity))
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


Made = tuple[dict[str, bytes], Run | None]


def _with_card(source: Source, parts: Mapping[str, bytes], precision: str) -> dict[str, bytes]:
    """Files of a model that relume itself takes by its card: its own graphs, and those of a precision."""
    card = source.card
    names = graph_names(card.name, True)
    files = {names[part]: graph for part, graph in source.parts.items()}
    others = dict(names)
    for part, graph in parts.items():
        if graph != source.parts[part]:
            others[part] = f"{card.name}.{precision}.{part}.onnx"
            files[others[part]] = graph
    variants = [*card.variants]
    if precision != "float32":
        kept = [each for each in variants if dict(each.get("graphs", {})) != others]
        variants = [*kept, {"engine": "onnxruntime", "precision": precision, "graphs": others}]
    sums = {name: hashlib.sha256(graph).hexdigest() for name, graph in files.items()}
    told = replace(card, files=sums, graphs=names, variants=variants)
    return {**files, f"{card.name}.json": (json.dumps(asdict(told), indent=2) + "\n").encode()}


def _onnx(source: Source, _: Path | None) -> Made:
    return _with_card(source, source.parts, "float32"), _of_parts(source.card, source.parts)


def _half(source: Source, _: Path | None) -> Made:
    """Convolutions alone: positions in a large photo are beyond what half precision counts."""
    model = in_single(onnx.load_from_string(source.parts["local"]))
    parts = {**source.parts, "local": in_half(model).SerializeToString()}
    return _with_card(source, parts, "float16"), _of_parts(source.card, parts)


def _integers(source: Source, calibration: Path | None) -> Made:
    graph = source.integers
    if calibration is not None:
        examples = samples(calibration, source.card, OnnxEngine(source.parts["global"], device="cpu"))
        graph = quantized(source.parts["local"], examples)
    if not graph:
        raise uncalibrated()
    parts = {**source.parts, "local": graph}
    return _with_card(source, parts, "int8"), _of_parts(source.card, parts)


def _openvino(source: Source, _: Path | None) -> Made:
    engines = [load_engine("openvino", source.parts[part]) for part in ("global", "local")]
    import openvino  # pyright: ignore[reportMissingImports]

    library: Any = openvino
    files: dict[str, bytes] = {}
    with TemporaryDirectory(prefix="relume-") as folder:
        for part, graph in source.parts.items():
            path = Path(folder) / f"{source.card.name}.{part}.xml"
            try:
                library.save_model(library.Core().read_model(model=graph, weights=b""), path)
            except RuntimeError as error:
                reason = f"OpenVINO cannot write its files here ({one_line(error)})"
                raise OutputUnwritable(reason, "Check the disk and its free space.", path=folder) from error
            files |= {each.name: each.read_bytes() for each in (path, path.with_suffix(".bin"))}
    return files, _of_engines(source.card, engines)


def _whole(source: Source, integers: bool) -> Made:
    card = source.card
    graph = whole_graph(source.parts, card.thumbnail_size or 0, card.margin, integers=integers)
    engine = OnnxEngine(graph, device="cpu")

    def run(pixels_HWC: EightBits) -> EightBits:
        image: Any = np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None])
        image = image if integers else image.astype(np.float32) / np.float32(255)
        result = engine.run(image=image)["enhanced"][0].transpose(1, 2, 0)
        return result if integers else np.rint(255 * result).astype(np.uint8)

    suffix = "8bit" if integers else "whole"
    return {f"{card.name}.{suffix}.onnx": graph}, run


def _steps(source: Source, _: Path | None) -> Made:
    graphs = step_graphs(source.card.thumbnail_size or 0)
    return {f"{name}.onnx": graph for name, graph in graphs.items()}, None


def _pt2(source: Source, _: Path | None) -> Made:
    made = programs(source.card, source.parts)
    engines = [ProgramEngine(made[part], source.parts[part]) for part in ("global", "local")]
    return {f"{source.card.name}.{part}.pt2": each for part, each in made.items()}, _of_engines(
        source.card, engines
    )


def _darktable(source: Source, _: Path | None) -> Made:
    card = source.card
    content, text = bundle(card, source.parts), script(card)
    host = Darktable(content, text)

    def run(pixels_HWC: EightBits) -> EightBits:
        result = host.enhance(pixels_HWC)
        return pixels_HWC if result is None else result

    return {f"{model_id(card)}.dtmodel": content, f"{model_id(card)}.lua": text.encode()}, run


_MAKERS: dict[str, Callable[[Source, Path | None], Made]] = {
    "onnx": _onnx,
    "onnx-fp16": _half,
    "onnx-int8": _integers,
    "openvino": _openvino,
    "onnx-whole": lambda source, _: _whole(source, integers=False),
    "onnx-whole-8bit": lambda source, _: _whole(source, integers=True),
    "onnx-steps": _steps,
    "pt2": _pt2,
    "darktable": _darktable,
}


def _of_parts(card: Card, parts: Mapping[str, bytes], controls: Controls = MODEL_ALONE) -> Run:
    engines = [OnnxEngine(parts[part], device="cpu") for part in ("global", "local")]
    return _of_engines(card, engines, controls)


def _of_engines(card: Card, engines: Sequence[Engine], controls: Controls = MODEL_ALONE) -> Run:
    model = Model(card, *engines)
    return lambda pixels_HWC: _in_8_bits(enhance_photo(Photo(pixels_HWC), model, controls=controls).rgb_HWC)


def _compare(source: Source, format: str, run: Run, photo: EightBits) -> list[Parity]:  # noqa: A002
    whole = format.startswith(("onnx-whole", "darktable"))
    ours = _of_parts(source.card, source.parts, Controls() if whole else MODEL_ALONE)
    most, least = _LIMITS.get(format, _EXACT)
    rows = []
    for width, height in SIZES:
        pixels_HWC = fitted(photo, height, width)
        difference = ours(pixels_HWC).astype(float) - run(pixels_HWC)
        square = float(np.mean(difference**2))
        psnr = min(100.0, 10 * np.log10(255**2 / square)) if square else 100.0
        largest = float(np.abs(difference).max())
        within = largest <= most and psnr >= least
        facts = round(largest, 3), round(float(np.abs(difference).mean()), 4), round(float(psnr), 2)
        rows.append(Parity(format, source.card.name, width, height, *facts, within))
    return rows


def _in_8_bits(pixels_HWC: Pixels) -> EightBits:
    return (pixels_HWC >> (8 if pixels_HWC.dtype == np.uint16 else 0)).astype(np.uint8)


def fitted(photo: EightBits, height: int, width: int) -> EightBits:
    """A photo of this size: mirrored at its right and lower edge as often as needed, then cut."""
    for axis, length in enumerate((height, width)):
        while photo.shape[axis] < length:
            photo = np.concatenate([photo, np.flip(photo, axis)], axis)
    return np.ascontiguousarray(photo[:height, :width])
