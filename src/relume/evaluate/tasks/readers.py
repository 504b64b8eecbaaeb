"""The readers: well-kept packages with their weights inside, used without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from relume.arrays import EightBits
from relume.errors import MissingExtra, UsageError, install
from relume.evaluate.tasks.protocol import Task
from relume.evaluate.tasks.scores import (
    Found,
    average_precision,
    character_error_rate,
    character_errors,
    judge_boxes,
    recall,
)

SHORTEST_SIDE = 320
"""RapidOCR enlarges pictures whose shorter side is below this before it looks for text."""


def ocr(threads: int = 0) -> Task:
    """Reading text, by RapidOCR.

    Raises:
        MissingExtra: it is not installed.
    """
    engine = _rapidocr(threads)

    def read(rgb_HWC: EightBits) -> str:
        result = engine(_bgr(rgb_HWC), use_cls=False)
        if result.txts is None:
            return ""
        middle = [(float(box[:, 1].mean()), float(box[:, 0].min())) for box in result.boxes]
        return "\n".join(text for _, text in sorted(zip(middle, result.txts, strict=True)))

    return Task(
        name="ocr",
        reader=f"RapidOCR {version('rapidocr')} (PP-OCRv6 small)",
        licence="Apache-2.0",
        score="character error rate",
        higher_is_better=False,
        read=read,
        judge=character_errors,
        total=character_error_rate,
    )


def detection(threads: int = 0) -> Task:
    """Finding lines of text, by the detector of RapidOCR.

    Raises:
        MissingExtra: it is not installed.
    """
    engine = _rapidocr(threads)

    def read(rgb_HWC: EightBits) -> Found:
        result = engine(_bgr(rgb_HWC), use_cls=False, use_rec=False)
        if result.boxes is None or not len(result.boxes):
            return _nothing()
        corners = np.asarray(result.boxes, np.float64)
        return Found(
            np.concatenate([corners.min(1), corners.max(1)], 1), np.asarray(result.scores, np.float64)
        )

    return Task(
        name="detection",
        reader=f"RapidOCR {version('rapidocr')} (PP-OCRv6 small, detector)",
        licence="Apache-2.0",
        score="average precision of lines of text, overlap 0.5",
        higher_is_better=True,
        read=read,
        judge=judge_boxes,
        total=average_precision,
    )


def faces(threads: int = 0) -> Task:
    """Finding faces, by dlib's frontal face detector.

    Raises:
        MissingExtra: it is not installed.
    """
    dlib = _module("dlib")
    detector = dlib.get_frontal_face_detector()

    def read(rgb_HWC: EightBits) -> Found:
        boxes, confidence, _ = detector.run(np.ascontiguousarray(rgb_HWC), 1, 0.0)
        if not len(boxes):
            return _nothing()
        corners = [(box.left(), box.top(), box.right(), box.bottom()) for box in boxes]
        return Found(np.array(corners, np.float64), np.array(list(confidence), np.float64))

    return Task(
        name="faces",
        reader=f"dlib {dlib.__version__} (frontal faces, HOG)",
        licence="Boost Software License 1.0",
        score="recall of faces, overlap 0.5",
        higher_is_better=True,
        read=read,
        judge=judge_boxes,
        total=recall,
    )


TASKS: Mapping[str, Callable[[int], Task]] = {"ocr": ocr, "detection": detection, "faces": faces}
"""Every task by the name that commands take; the argument is the number of threads, 0 for all."""


def make_task(name: str, threads: int = 0) -> Task:
    """A task with its reader loaded.

    Raises:
        UsageError: no such task.
        MissingExtra: its reader is not installed.
    """
    if name not in TASKS:
        raise UsageError(f"no task is called '{name}'", f"Choose from: {', '.join(TASKS)}.")
    return TASKS[name](threads)


def _rapidocr(threads: int) -> Callable[..., Any]:
    make = _module("rapidocr").RapidOCR
    options = {
        "Global.log_level": "critical",
        "Det.limit_type": "min",
        "Det.limit_side_len": SHORTEST_SIDE,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads or -1,
    }
    return make(params=options)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(f"this task needs {name}", install("tasks")) from error


def _bgr(rgb_HWC: EightBits) -> EightBits:
    """Channels in the order of OpenCV, which RapidOCR takes."""
    return np.ascontiguousarray(rgb_HWC[..., ::-1])


def _nothing() -> Found:
    return Found(np.zeros((0, 4)), np.zeros(0))
