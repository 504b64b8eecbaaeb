"""Readers, their scores, and `relume evaluate --task`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import DataError, ExitCode, MissingExtra, UsageError
from relume.evaluate.metrics import mean_luma
from relume.evaluate.tasks import Item, Task, make_task, readers, run_task
from relume.evaluate.tasks.items import items_of
from relume.evaluate.tasks.protocol import CLEAN, interval, match_brightness, measure
from relume.evaluate.tasks.report import task_csv, task_table
from relume.evaluate.tasks.scenes import rendered, rendered_boxes
from relume.evaluate.tasks.scores import (
    Errors,
    Found,
    Judged,
    average_precision,
    character_error_rate,
    character_errors,
    edit_distance,
    judge_boxes,
    overlaps,
    recall,
)
from relume.photo import Photo, write_photo
from shared import Result

Run = Callable[..., Result]
needs_rapidocr = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs rapidocr")
needs_dlib = pytest.mark.skipif(find_spec("dlib") is None, reason="needs dlib")

WORDS = st.text("abc", max_size=8)


def brightest(rgb_HWC: np.ndarray) -> str:
    """A reader for tests: says one letter more the brighter a picture is."""
    return "abcdefghij"[: round(float(rgb_HWC.mean()) / 25)]


READER = Task("ocr", "brightness", "-", "error", False, brightest, character_errors, character_error_rate)


@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_metric(first: str, second: str, third: str) -> None:
    assert edit_distance(first, second) == edit_distance(second, first)
    assert (edit_distance(first, second) == 0) == (first == second)
    assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)
    assert abs(len(first) - len(second)) <= edit_distance(first, second) <= max(len(first), len(second))


@pytest.mark.parametrize(
    ("read", "truth", "wrong"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("ab\nc", "a b c", 0), ("ABC", "abc", 3), ("xxabc", "abc", 2)],
)
def test_character_errors(read: str, truth: str, wrong: int) -> None:
    assert character_errors(read, truth) == Errors(wrong, len("".join(truth.split())))


def test_long_texts_weigh_more() -> None:
    assert character_error_rate([Errors(1, 1), Errors(0, 9)]) == pytest.approx(0.1)


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]], float)
    assert overlaps(boxes, boxes)[0].tolist() == pytest.approx([1, 1 / 7, 0])


def test_each_object_is_found_once_and_the_most_confident_box_comes_first() -> None:
    truth = np.array([[0, 0, 10, 10]], float)
    boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60]], float)
    judged = judge_boxes(Found(boxes, np.array([0.5, 0.9, 0.7])), truth)
    assert judged.confidence.tolist() == [0.9, 0.7, 0.5]
    assert judged.correct.tolist() == [True, False, False]
    assert recall([judged, Judged(np.zeros(0), np.zeros(0, bool), 1)]) == 0.5


def test_nothing_to_find_and_nothing_found() -> None:
    empty = Found(np.zeros((0, 4)), np.zeros(0))
    assert judge_boxes(empty, np.zeros((0, 4))).objects == 0
    assert average_precision([judge_boxes(empty, np.zeros((0, 4)))]) == 0
    one = Found(np.array([[0.0, 0, 1, 1]]), np.array([0.5]))
    assert judge_boxes(one, np.zeros((0, 4))).correct.tolist() == [False]


def _pictures(seed: int) -> list[tuple[Found, np.ndarray]]:
    """Random boxes near random objects, with ties of confidence and boxes of nothing."""
    random = np.random.default_rng(seed)
    pictures: list[tuple[Found, np.ndarray]] = []
    for _ in range(12):
        corner = random.uniform(0, 80, (int(random.integers(0, 7)), 2))
        truth = np.concatenate([corner, corner + random.uniform(15, 40, corner.shape)], 1)
        near = truth[random.random(len(truth)) < 0.8]
        near = np.concatenate([near, near[:2]]) + random.normal(0, 2.5, (len(near) + len(near[:2]), 4))
        far = random.uniform(0, 90, (int(random.integers(0, 4)), 2))
        boxes = np.concatenate([near, np.concatenate([far, far + 15], 1)])
        pictures.append((Found(boxes, random.integers(1, 20, len(boxes)) / 20), truth))
    return pictures


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [0.5, 0.75])
def test_average_precision_is_that_of_pycocotools(seed: int, least: float) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    pictures = _pictures(seed)
    ours = average_precision([judge_boxes(found, truth, least) for found, truth in pictures])
    expected = _by_pycocotools(coco, cocoeval, pictures, least)
    assert 0.1 < expected < 1
    assert ours == pytest.approx(expected, abs=1e-9)


def _by_pycocotools(
    coco: object, cocoeval: object, pictures: Sequence[tuple[Found, np.ndarray]], least: float
) -> float:
    def corner_and_size(box: np.ndarray) -> list[float]:
        return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]

    annotations = [
        {"image_id": image, "category_id": 1, "bbox": corner_and_size(box), "area": 1000.0, "iscrowd": 0}
        for image, (_, truth) in enumerate(pictures, start=1)
        for box in truth
    ]
    results = [
        {"image_id": image, "category_id": 1, "bbox": corner_and_size(box), "score": float(confidence)}
        for image, (found, _) in enumerate(pictures, start=1)
        for box, confidence in zip(found.boxes, found.confidence, strict=True)
    ]
    with redirect_stdout(io.StringIO()):
        truth = coco.COCO()  # type: ignore[attr-defined]
        truth.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, len(pictures) + 1)],
            "categories": [{"id": 1}],
            "annotations": [{"id": number, **each} for number, each in enumerate(annotations, start=1)],
        }
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")  # type: ignore[attr-defined]
        evaluation.params.iouThrs = np.array([least])
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"][0, :, 0, 0, 2].mean())


def test_an_interval_holds_the_score_and_shrinks_with_more_pictures() -> None:
    few = [Errors(wrong, 10) for wrong in (0, 2, 5, 9)]
    low, high = interval(character_error_rate, few)
    assert low < character_error_rate(few) < high
    narrow = interval(character_error_rate, few * 16)
    assert narrow[1] - narrow[0] < (high - low) / 2
    assert interval(character_error_rate, few) == (low, high)
    assert interval(character_error_rate, [Errors(1, 4)] * 5) == (0.25, 0.25)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        low, high = interval(
            lambda values: float(np.mean(values)), random.normal(0, 1, 40).tolist(), resamples=300
        )
        covered += low < 0 < high
    assert 50 <= covered <= 60


def test_a_small_gain_on_every_picture_counts_though_pictures_differ_more() -> None:
    """Picture by picture the gain is certain; the intervals of both scores overlap."""
    base = [Errors(wrong, 100) for wrong in (10, 90, 20, 80, 30, 70)]
    better = [Errors(each.wrong - 5, 100) for each in base]
    measured = measure(READER, "better", 0.5, better, base)
    alone = measure(READER, "input", 0.5, base)
    assert alone.low < measured.score < alone.high
    assert (measured.gain, measured.gain_low, measured.gain_high) == pytest.approx((-0.05, -0.05, -0.05))
    assert "0.450* [" in task_table([measure(READER, CLEAN, 1.0, base), alone, measured])
    same = measure(READER, "same", 0.5, base[::-1], base)
    assert "0.500 [" in task_table([measure(READER, CLEAN, 1.0, base), alone, same])


@pytest.mark.parametrize("factor", [0.02, 0.2, 0.9])
def test_the_control_has_the_brightness_of_the_clean_picture(factor: float) -> None:
    clean = np.random.default_rng(0).integers(60, 200, (20, 30, 3), dtype=np.uint8)
    dark = (clean * factor).astype(np.uint8)
    matched = match_brightness(dark, clean)
    assert mean_luma(matched) == pytest.approx(mean_luma(clean), abs=0.02)
    assert len(np.unique(matched)) <= len(np.unique(dark))


def test_black_stays_black() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert not match_brightness(black, black + 100).any()


def test_the_protocol_scores_every_method_at_every_darkness() -> None:
    items = [Item(str(n), np.full((4, 4, 3), 250, np.uint8), "abcdefghij") for n in range(3)]
    seen: list[tuple[int, int]] = []
    measured = run_task(
        READER,
        items,
        {"input": lambda _, dark, clean: dark, "perfect": lambda _, dark, clean: clean},
        [0.5, 0.1],
        lambda item, exposure: (item.clean_HWC * exposure).astype(np.uint8),
        lambda done, total: seen.append((done, total)),
    )
    found = {(each.method, each.exposure): each.score for each in measured}
    assert found == {
        (CLEAN, 1.0): 0.0,
        ("input", 0.5): 0.5,
        ("perfect", 0.5): 0.0,
        ("input", 0.1): 0.9,
        ("perfect", 0.1): 0.0,
    }
    assert all(each.images == 3 for each in measured)
    gains = {(each.method, each.exposure): each.gain for each in measured}
    assert gains[CLEAN, 1.0] is gains["input", 0.5] is None
    assert gains["perfect", 0.1] == pytest.approx(-0.9)
    assert seen[-1] == (15, 15)


def test_nothing_to_read_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to read"):
        run_task(READER, [], {}, [0.5], lambda item, exposure: item.clean_HWC)


def test_drawn_pictures_are_the_same_every_time_and_hold_their_boxes() -> None:
    for text, boxes in zip(rendered(6), rendered_boxes(6), strict=True):
        assert text.name == boxes.name
        assert np.array_equal(text.clean_HWC, boxes.clean_HWC)
        assert len(boxes.truth) == len(text.truth.splitlines())
        rows, columns = text.clean_HWC.shape[:2]
        assert (boxes.truth >= 0).all()
        assert (boxes.truth <= (columns, rows, columns, rows)).all()
        for left, top, right, bottom in boxes.truth.astype(int):
            assert text.clean_HWC[top : bottom + 1, left : right + 1].std() > 8  # letters are there
    assert len({item.clean_HWC.tobytes() for item in rendered(9)}) == 9


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UsageError, match="no task is called 'smell'"):
        make_task("smell")


@pytest.mark.parametrize(
    ("task", "package"), [("ocr", "rapidocr"), ("detection", "rapidocr"), ("faces", "dlib")]
)
def test_an_absent_reader_is_an_error_and_never_a_zero(
    relume: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: str, package: str
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(readers, "import_module", absent)
    with pytest.raises(MissingExtra, match=package):
        make_task(task)
    result = relume("evaluate", tmp_path, "--task", task, "--classical", "input", "--json")
    assert result.code == ExitCode.MISSING_EXTRA
    assert result.out == b""
    assert "'.[tasks]'" in result.err


@needs_rapidocr
def test_text_is_read_and_found_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def unexpected(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", unexpected)
    sign = rendered(3)[2]
    task = make_task("ocr", 1)
    assert task.judge(task.read(sign.clean_HWC), sign.truth).wrong <= 1
    assert task.read(np.zeros((64, 64, 3), np.uint8)) == ""
    finder = make_task("detection", 1)
    boxes = rendered_boxes(3)[2]
    assert recall([finder.judge(finder.read(boxes.clean_HWC), boxes.truth)]) >= 0.5
    assert len(finder.read(np.zeros((64, 64, 3), np.uint8)).boxes) == 0


@needs_dlib
def test_a_face_is_found(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    write_photo(Photo(data.astronaut()), tmp_path / "astronaut.png")
    write_photo(Photo(np.full((64, 64, 3), 90, np.uint8)), tmp_path / "wall.png")
    task = make_task("faces")
    items = items_of(task, tmp_path, 0)
    assert [item.name for item in items] == ["astronaut"]
    assert recall([task.judge(task.read(items[0].clean_HWC), items[0].truth)]) == 1
    assert recall([task.judge(task.read(items[0].clean_HWC // 255), items[0].truth)]) == 0


def test_items_of_folders(tmp_path: Path) -> None:
    write_photo(Photo(np.full((16, 16, 3), 90, np.uint8)), tmp_path / "a.png")
    with pytest.raises(DataError, match="nothing to read"):
        items_of(READER, tmp_path, 0)
    (tmp_path / "a.txt").write_text("hello")
    assert [(item.name, item.truth) for item in items_of(READER, tmp_path, 0)] == [("a", "hello")]
    assert len(items_of(READER, None, 5)) == 5


def test_faces_need_a_folder(relume: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.evaluate.tasks.make_task", lambda name, threads: READER_OF_FACES)
    result = relume("evaluate", "--task", "faces", "--classical", "input")
    assert result.code == ExitCode.USAGE
    assert "faces are not drawn" in result.err


READER_OF_FACES = Task("faces", "-", "-", "-", True, brightest, character_errors, character_error_rate)


def test_the_command_writes_table_json_and_picture(
    relume: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("relume.evaluate.tasks.make_task", lambda name, threads: READER)
    options = ("--classical", "input,gamma", "--limit", "3", "--darkness", "1/4,1/64")
    out = tmp_path / "t.csv", tmp_path / "t.json", tmp_path / "t.png"
    result = relume("evaluate", "--task", "ocr", *options, "-o", out[0], "-o", out[1], "-o", out[2])
    assert result.code == 0, result.err
    assert "light 1/64" in result.out.decode()
    rows = list(csv.DictReader(out[0].read_text().splitlines()))
    assert [row["method"] for row in rows] == ["clean", *["input", "gamma", "matched"] * 2]
    assert {row["light"] for row in rows} == {"1", "1/4", "1/64"}
    content = json.loads(out[1].read_text())
    assert content["camera"] == "phone"
    assert [row["method"] for row in content["rows"]] == [row["method"] for row in rows]
    assert out[2].read_bytes().startswith(b"\x89PNG")
    again = relume("evaluate", "--task", "ocr", *options, "--json")
    assert json.loads(again.out) == content


@pytest.mark.parametrize(
    "options",
    [
        ("--darkness", "dark"),
        ("--darkness", "1/0"),
        ("--darkness", "2"),
        ("--camera", "pinhole"),
        ("-o", "x.jpg"),
        ("--layout", "lol-v1/test"),
    ],
)
def test_wrong_options_of_a_task(relume: Run, options: tuple[str, str]) -> None:
    pytest.importorskip("torch")
    result = relume("evaluate", "--task", "ocr", "--classical", "input", *options)
    assert result.code == ExitCode.USAGE


def test_evaluate_without_anything_says_what_is_missing(relume: Run) -> None:
    result = relume("evaluate")
    assert result.code == ExitCode.USAGE
    assert "--task" in result.err


def _benchmark() -> ModuleType:
    spec = spec_from_file_location("benchmark_tasks", Path(__file__).parents[2] / "benchmarks/tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    outcomes = [Errors(wrong, 10) for wrong in (1, 4, 9)]
    measured = [
        measure(READER, CLEAN, 1.0, outcomes),
        measure(READER, "input", 1 / 16, outcomes),
        measure(READER, "photo", 1 / 16, outcomes[::-1], outcomes),
    ]
    file = tmp_path / "t.csv"
    file.write_text(task_csv(READER, measured))
    assert task_table(_benchmark().read(file)) == task_table(measured)


def test_rows_of_one_model_are_replaced_and_no_others() -> None:
    rows = ["method,light,score", "input,1/4,0.5", "lol,1/4,0.6", "photo,1/4,0.7", "photo,1/16,0.8"]
    part = ["method,light,score", "input,1/4,0.5", "photo,1/4,0.9", "photo,1/16,0.1", "matched,1/4,0.2"]
    whole, again = ("\n".join(lines) + "\n" for lines in (rows, part))
    merged = _benchmark().replaced(whole, again, ["photo"])
    assert merged.splitlines() == [*rows[:3], *part[2:4]]
    with pytest.raises(SystemExit, match="scores otherwise"):
        _benchmark().replaced(whole, again.replace("input,1/4,0.5", "input,1/4,0.4"), ["photo"])


@pytest.mark.parametrize("name", ["faces", "stress"])
def test_pictures_are_drawn_from_checked_in_results(name: str) -> None:
    if name != "stress":
        pytest.importorskip("dlib")
    assert _benchmark().drawn(name).startswith(b"\x89PNG")


def test_tables_of_the_page_are_those_of_the_checked_in_results() -> None:
    benchmark = _benchmark()
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert benchmark.filled(page) == page
    assert benchmark.put(page, "ocr", "| other |\n") != page
