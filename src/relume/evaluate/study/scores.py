"""Scores of methods from the answers of a study: Bradley-Terry, with intervals over photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from relume.errors import DataError, MissingExtra, install
from relume.files import read_json

_DRAWS = 1000
_PRIOR = 0.1
"""Of choix: how strongly scores are drawn together, so that a method that won or lost always has one, too."""

_MISTAKES = 0.25
"""Share of wrong checks from which on a visitor's answers are left out."""


@dataclass(frozen=True)
class Answer:
    """One comparison: the winner and the loser, or both in any order where neither was better."""

    photo: str
    methods: tuple[str, str]
    tied: bool


@dataclass(frozen=True)
class Score:
    """A method's place.

    Attributes:
        score: logarithm of its strength, 0 on average: a method that is better by 1 is preferred by
            e / (e + 1), 73 %.
        low, high: its 95 % interval, by drawing photos anew.
        compared, won, tied: counts.
    """

    method: str
    score: float
    low: float
    high: float
    compared: int
    won: int
    tied: int


@dataclass(frozen=True)
class Scores:
    """What a study found.

    Attributes:
        scores: the best method first.
        raters: whose answers count.
        left_out: files whose checks were answered wrongly.
    """

    scores: list[Score]
    raters: int
    left_out: list[str]


def score_study(key: Path, files: Sequence[Path], *, seed: int = 0) -> Scores:
    """Scores from the files that visitors saved.

    Args:
        key: of the study.
        files: one per visitor.
        seed: of the drawing of photos.

    Raises:
        DataError: a file of another study, damaged, or no answers that count.
        MissingExtra: choix is not installed.
        RelumeError: a file cannot be read.
    """
    known = _checked_key(read_json(key), key)
    answers: list[Answer] = []
    left_out: list[str] = []
    read: list[Any] = []
    for file in files:
        said = read_json(file)
        if said in read:
            raise DataError("these answers are given twice", "Name each visitor's file once.", path=file)
        read.append(said)
        own, wrong = _answers(known, said, file)
        if wrong > _MISTAKES * len(known["checks"]):
            left_out.append(str(file))
        else:
            answers += own
    if not answers:
        raise DataError("no answers count", "Name files whose checks were answered rightly.")
    methods: list[str] = known["methods"]
    photos = sorted({answer.photo for answer in answers})
    tables = {photo: _table(methods, [each for each in answers if each.photo == photo]) for photo in photos}
    rng = np.random.default_rng(seed)
    middle = _fitted(np.sum(list(tables.values()), axis=0))
    drawn = rng.choice(np.stack(list(tables.values())), (_DRAWS, len(photos)))
    low, high = np.percentile([_fitted(each) for each in drawn.sum(axis=1)], [2.5, 97.5], axis=0)
    found = [
        Score(method, float(middle[at]), float(low[at]), float(high[at]), *_counts(method, answers))
        for at, method in enumerate(methods)
    ]
    return Scores(sorted(found, key=lambda each: -each.score), len(files) - len(left_out), left_out)


def _checked_key(key: Any, path: Path) -> dict[str, Any]:
    known = cast("dict[str, Any]", key) if isinstance(key, dict) else {}
    if not {"study", "methods", "pictures", "checks"} <= known.keys():
        raise DataError("this is not the key of a study", "Name the .key.json beside the study.", path=path)
    return known


def _answers(key: Mapping[str, Any], said: Any, path: Path) -> tuple[list[Answer], int]:
    """A visitor's answers, and how many checks were not answered rightly."""
    if not isinstance(said, Mapping) or cast("Mapping[str, Any]", said).get("study") != key["study"]:
        raise DataError("this is not a file of answers to the study", "Name what its page saves.", path=path)
    checks: Mapping[str, str] = key["checks"]
    try:
        given = list(cast("Mapping[str, Any]", said)["answers"])
        by_pair = {each["pair"]: each for each in given}
        if len(by_pair) < len(given):
            raise ValueError("a comparison is answered twice")
        seen = {pair: by_pair[pair] for pair in checks if pair in by_pair}
        right = sum(each.get(each["better"]) == checks[pair] for pair, each in seen.items())
        answers = [_answer(key, each) for pair, each in by_pair.items() if pair not in checks]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"the answers are damaged ({error!r:.80})", "Ask for them again.", path=path
        ) from error
    return answers, len(checks) - right


def _answer(key: Mapping[str, Any], said: Mapping[str, str]) -> Answer:
    """One answer of a visitor, who may have written anything."""
    if said["better"] not in ("left", "right", "neither"):
        raise ValueError("neither side is better, nor none")
    sides = ("right", "left") if said["better"] == "right" else ("left", "right")
    winner, loser = (key["pictures"][said[side]] for side in sides)
    methods = (winner["method"], loser["method"])
    if winner["photo"] != loser["photo"] or len({*methods} & {*key["methods"]}) < 2:
        raise ValueError("these two pictures are not compared")
    return Answer(winner["photo"], methods, said["better"] == "neither")


def _table(methods: Sequence[str], answers: Sequence[Answer]) -> npt.NDArray[np.float64]:
    """Wins of the rows over the columns; a tie is half a win for both."""
    table = np.zeros((len(methods), len(methods)))
    for answer in answers:
        winner, loser = map(methods.index, answer.methods)
        table[winner, loser] += 0.5 if answer.tied else 1.0
        table[loser, winner] += 0.5 if answer.tied else 0.0
    return table


def _fitted(table: Any) -> npt.NDArray[np.float64]:
    """Bradley-Terry's scores, by choix's iterative Luce spectral ranking."""
    try:
        import choix  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise MissingExtra("scores of a study need choix", install("study")) from error
    fit: Any = choix.ilsr_pairwise_dense  # pyright: ignore[reportUnknownMemberType]
    return np.asarray(fit(table, alpha=_PRIOR))


def _counts(method: str, answers: Sequence[Answer]) -> tuple[int, int, int]:
    own = [answer for answer in answers if method in answer.methods]
    won = sum(answer.methods[0] == method and not answer.tied for answer in own)
    return len(own), won, sum(answer.tied for answer in own)


def as_table(found: Scores) -> str:
    """Scores as lines of text."""
    lines = [f"{'method':<16} {'score':>6}  {'95 % interval':<16} {'won':>5} {'tied':>5} {'of':>5}"]
    for each in found.scores:
        interval = f"{each.low:+.2f} to {each.high:+.2f}"
        counts = f"{each.won:>5} {each.tied:>5} {each.compared:>5}"
        lines.append(f"{each.method:<16} {each.score:>+6.2f}  {interval:<16} {counts}")
    raters = f"{found.raters} rater{'' if found.raters == 1 else 's'}"
    left = f"; left out for their checks: {', '.join(found.left_out)}" if found.left_out else ""
    return "\n".join([*lines, f"{raters}{left}"]) + "\n"


def picture(found: Scores, suffix: str) -> bytes:
    """Scores with their intervals, drawn.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    from relume.evaluate.figure import encoded, new_figure

    figure = new_figure(7, 0.9 + 0.45 * len(found.scores))
    axes: Any = figure.add_subplot()
    for row, each in enumerate(reversed(found.scores)):
        axes.plot([each.low, each.high], [row, row], color="#8a5300", linewidth=2)
        axes.plot(each.score, row, "o", color="#8a5300")
    axes.set_yticks(range(len(found.scores)), [each.method for each in reversed(found.scores)])
    axes.set_ylim(-0.6, len(found.scores) - 0.4)
    axes.axvline(0, color="#b0aca4", linewidth=0.8, zorder=0)
    axes.set_xlabel("Bradley-Terry score with its 95 % interval; +1 is preferred by 73 %")
    return encoded(figure, suffix)
