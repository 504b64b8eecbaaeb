"""Smaller networks: pruned ones, and those that a search finds. Tiny networks throughout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import ExitCode, ModelError, TrainingDiverged, UsageError
from relume.lab.data.paired import LoadedPair
from relume.lab.networks import build
from relume.lab.networks.cost import count_parameters
from relume.lab.recipe import Phase, Recipe, Source, from_json, to_json
from relume.lab.run import Run
from relume.lab.training.loop import train
from relume.lab.training.timing import scaled
from relume.lab.trials import Clock, Trial, as_csv, macs, read_trials, tried
from shared import Result

pytest.importorskip("torch_pruning")
pytest.importorskip("optuna")

from relume.lab import search
from relume.lab.pruning import Channels
from relume.lab.search import TODAY, Plan, chosen, front, halves, name_of, ranked

TINY = {"widths": [16, 16, 32], "depths": [1, 2, 1], "condition": 8, "global_width": 4, "overview_size": 32}
IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
Command = Callable[..., Result]


def taught(worthless: list[int]) -> tuple[Any, Channels]:
    """A network with gradients, in which these channels of the last level do nothing."""
    torch.manual_seed(0)
    network = build("two-pass", TINY)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and not name.startswith("global"):
            torch.nn.init.normal_(parameter, std=0.1)
    local = network.local_pass
    with torch.no_grad():
        local.down[-1].weight[worthless], local.down[-1].bias[worthless] = 0, 0
        for block in local.encoder[-1]:
            block.second.weight[worthless], block.second.bias[worthless] = 0, 0
            block.first.weight[worthless], block.first.bias[worthless] = 0, 0
            block.film.weight[worthless], block.film.bias[worthless] = 0, 0
            block.film.weight[[32 + each for each in worthless]] = 0
            block.film.bias[[32 + each for each in worthless]] = 0
    (network.eval()(IMAGE) - 0.5).square().mean().backward()
    return network, Channels(network, TINY)


def test_channels_that_do_nothing_are_removed_and_nothing_changes() -> None:
    network, channels = taught([1, 4, 5, 9, 20, 21, 30, 31])
    narrow = channels.pruned([16, 16, 24])
    with torch.no_grad():
        assert (narrow(IMAGE) - network(IMAGE)).abs().max() < 1e-5
    assert [len(layer.weight) for layer in narrow.local_pass.down] == [16, 24]
    assert network.local_pass.down[-1].weight.shape[0] == 32  # it is not changed itself


@pytest.mark.parametrize("share", [0.9, 0.6, 0.45])
def test_a_plan_keeps_at_most_its_share_and_no_step_less(share: float) -> None:
    _, channels = taught([])
    widths = channels.plan(share, 4)
    whole = macs("two-pass", TINY)
    assert macs("two-pass", {**TINY, "widths": widths}) <= share * whole
    assert all(
        width % 4 == 0 and 4 <= width <= before for width, before in zip(widths, TINY["widths"], strict=True)
    )
    narrow = channels.pruned(widths)
    assert narrow(torch.rand(1, 3, 17, 33)).shape == (1, 3, 17, 33)


def test_what_is_too_small_and_what_is_no_two_pass_network_is_told() -> None:
    _, channels = taught([])
    with pytest.raises(UsageError, match="keeps only 1%"):
        channels.plan(0.01, 8)
    with pytest.raises(ModelError, match="only two-pass"):
        Channels(build("zero-dce"), {})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of seconds, which take an export to measure, parameters."""
    monkeypatch.setattr(Clock, "_measured", lambda self, network: count_parameters(network) / 1e6)


@pytest.fixture
def short(tiny_recipe: Recipe, tmp_path: Path) -> Path:
    """The file of a recipe of three steps."""
    path = tmp_path / "short.json"
    short = replace(tiny_recipe, phases=(Phase(3, 16, 2),), validate_every=0, average=0.0)
    path.write_text(to_json(short))
    return path


@pytest.mark.usefixtures("counted")
def test_a_run_is_pruned_tuned_and_compared_and_the_command_goes_on(
    relume: Command, tiny_recipe: Recipe, short: Path, tiny_root: Path, tmp_path: Path
) -> None:
    run, runs, csv = tmp_path / "run", tmp_path / "runs", tmp_path / "curve.csv"
    train(replace(tiny_recipe, phases=(Phase(2, 16, 2),)), tiny_root, run, device="cpu", quiet=True)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    command = ["prune", run, "--recipe", short, "--ratios", "0.7", "--multiple", "4", "--size", "96x64"]
    command += ["--batches", "2", "--data", tiny_root, "--runs", runs, "--device", "cpu", "-q"]
    done = relume(*command, "-o", csv, "-o", tmp_path / "curve.png")
    assert done.code == 0, done.err
    trials = read_trials(csv)
    assert [trial.stage for trial in trials] == ["shipped", "pruned", "scratch"]
    assert trials[1].options == trials[2].options != trials[0].options
    assert trials[1].gmacs_256 <= 0.7 * trials[0].gmacs_256
    assert all(trial.ms > 0 and trial.steps == 3 and trial.images == 2 for trial in trials)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    again = relume(*command, "--from", csv)
    assert (again.code, again.out) == (0, done.out)
    results = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    assert relume(*command).out == done.out
    assert results == {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    kept = Run(runs / "pruned-0.70").network()
    assert sum(value.numel() for value in kept.parameters()) == trials[1].params


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune"],
        ["prune", "none", "--ratios", "1.5"],
        ["prune", "none", "--engine", "abacus"],
        ["search", "--size", "wide"],
    ],
)
def test_wrong_options_are_usage_errors(relume: Command, tiny_root: Path, arguments: list[str]) -> None:
    told = relume(*arguments, *(["--data", tiny_root] if len(arguments) > 1 else []))
    assert told.code == ExitCode.USAGE, told.err


def test_a_run_that_is_missing_is_told_before_data_that_is(relume: Command, tmp_path: Path) -> None:
    told = relume("prune", tmp_path / "none", "--data", tmp_path / "no data")
    assert told.code == ExitCode.MODEL
    assert "there is no such run" in told.err


def trial(name: str, ms: float, quality: float, stage: str = "rung 0", seed: int = 0) -> Trial:
    options = json.dumps({"widths": [16], "depths": [1]})
    figures = (1, 1.0, ms, 10, 1.0, quality, quality, 0.5, 4, 64, 64, "onnxruntime", 1, "any")
    return Trial(stage, name, seed, "two-pass", options, *figures)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12, unique=True))
def test_nothing_beats_the_front_and_all_others_are_beaten(points: list[tuple[int, int]]) -> None:
    trials = [trial(str(number), ms, quality) for number, (ms, quality) in enumerate(points)]
    best = front(trials)

    def is_beaten(one: Trial) -> bool:
        return any(
            other.ms <= one.ms and other.psnr >= one.psnr and (other.ms, other.psnr) != (one.ms, one.psnr)
            for other in trials
        )

    assert [is_beaten(one) for one in trials] == [one not in best for one in trials]
    assert sorted(ranked(trials), key=str) == sorted(trials, key=str)
    assert ranked(trials)[: len(best)] == sorted(best, key=lambda one: -one.psnr)


def test_the_last_word_of_all_seeds_decides_within_the_time() -> None:
    said = [
        trial("a", 100, 20.0, "last word", 0),
        trial("a", 100, 22.0, "last word", 1),
        trial("b", 100, 20.8, "last word", 0),
        trial("b", 100, 20.8, "last word", 1),
        trial("c", 900, 30.0, "last word", 0),
    ]
    rungs = [trial("b", 100, 40.0)]
    assert chosen([*rungs, *said], 400).name == "a"
    assert chosen([*rungs, *said], 1000).name == "c"
    assert chosen([*rungs, *said], 10).name in ("a", "b")
    assert chosen(rungs, 400).name == "b"


def test_halves_share_nothing_and_keep_each_source() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    sources = [Source(name, "pairs", "", 1.0, "") for name in ("a", "b")]
    pairs = [LoadedPair(f"{s.name}{n}", pixels, pixels, s) for s in sources for n in range(5)]
    first, second = halves(pairs)
    assert [pair.name for pair in first] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert [pair.name for pair in second] == ["a3", "a4", "b3", "b4"]


def test_a_run_is_shortened_in_proportion(tiny_recipe: Recipe) -> None:
    assert [phase.steps for phase in scaled(tiny_recipe, 2).phases] == [10, 6]
    assert [phase.steps for phase in scaled(tiny_recipe, 0.01).phases] == [1, 1]


def test_times_are_measured_once(every_part: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exported(network: Any) -> dict[str, bytes]:
        ours, theirs = network.state_dict(), every_part.network.state_dict()
        assert {name: value.shape for name, value in ours.items()} == {
            name: value.shape for name, value in theirs.items()
        }
        return every_part.graphs

    monkeypatch.setattr("relume.lab.trials.export_graphs", exported)
    clock = Clock(tmp_path / "costs.json", width=64, height=48, rounds=1)
    pruned = every_part.options
    first = clock.milliseconds("two-pass", pruned)
    assert first > 0
    monkeypatch.setattr("relume.lab.trials.export_graphs", None)  # it would fail if it were needed
    again = Clock(tmp_path / "costs.json", width=64, height=48, rounds=1)
    assert again.milliseconds("two-pass", pruned) == first
    with pytest.raises(TypeError):
        Clock(tmp_path / "costs.json", width=65, height=48, rounds=1).milliseconds("two-pass", pruned)


def small_space(asked: Any) -> dict[str, Any]:
    width = asked.suggest_int("width", 16, 64, step=16)
    return {**TINY, "widths": [16, width], "depths": [1, 1], "modulated_from": 1}


@pytest.mark.usefixtures("counted")
def test_a_search_keeps_its_time_goes_on_and_leaves_a_recipe(
    relume: Command, short: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = {**TINY, "widths": [16, 32], "depths": [1, 1], "modulated_from": 1}
    monkeypatch.setattr(search, "suggested", small_space)
    monkeypatch.setattr(search, "TODAY", today)
    monkeypatch.setattr(search, "_today_as_parameters", lambda: {"width": 32})
    runs, csv = tmp_path / "runs", tmp_path / "front.csv"
    command = ["search", "--recipe", short, "--steps", "1", "--size", "96x64", "--data", tiny_root]
    command += ["--runs", runs, "--device", "cpu", "--candidates", "3", "--seeds", "2", "--budget-ms", "1e6"]
    done = relume(*command, "--minutes", "100", "-o", csv, "-o", tmp_path / "front.png")
    assert done.code == 0, done.err
    assert "At most 100 core-minutes" in done.err
    trials = read_trials(csv)
    stages = [one.stage for one in trials]
    assert stages.count("rung 0") == 3
    assert trials[0].name == name_of(today)
    assert {one.steps for one in trials if one.stage == "rung 1"} == {3}
    assert {one.seed for one in trials if one.stage == "last word"} == {0, 1}
    assert any(one.name == name_of(today) for one in trials if one.stage == "last word")
    assert "(today's)" in done.out.decode()
    found = from_json((runs / "found.json").read_text())
    assert found.name == "tiny-found"
    assert json.dumps(found.network_options) in [one.options for one in trials]
    assert relume(*command, "--minutes", "100", "-q").out == done.out
    assert as_csv(trials) == csv.read_text()
    assert relume("search", "--from", csv).out == done.out


@pytest.mark.usefixtures("counted")
def test_a_candidate_that_diverges_does_not_end_a_search(
    relume: Command, short: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **options: Any) -> Trial:
        if "w16-32" in arguments[1]:
            raise TrainingDiverged("it diverged")
        return tried(*arguments, **options)

    monkeypatch.setattr(search, "suggested", small_space)
    monkeypatch.setattr(search, "_today_as_parameters", lambda: {"width": 32})
    monkeypatch.setattr(search, "tried", fails)
    command = ["search", "--recipe", short, "--steps", "1", "--size", "96x64", "--data", tiny_root]
    command += ["--runs", tmp_path / "r", "--device", "cpu", "--candidates", "1", "--seeds", "1"]
    done = relume(*command, "--minutes", "100", "-q", "-o", tmp_path / "front.csv")
    assert done.code == 0, done.err
    assert not any("w16-32" in one.name for one in read_trials(tmp_path / "front.csv"))


def test_without_time_nothing_is_tried(relume: Command, short: Path, tiny_root: Path, tmp_path: Path) -> None:
    command = ["search", "--recipe", short, "--size", "96x64", "--data", tiny_root, "--runs", tmp_path / "r"]
    done = relume(*command, "--minutes", "0", "--device", "cpu")
    assert (done.code, done.out) == (0, b"")
    assert "give more --minutes" in done.err
    assert not list((tmp_path / "r").glob("*/weights.safetensors"))


def test_the_space_holds_todays_network() -> None:
    class Asked:
        def suggest_int(self, name: str, low: int, high: int, step: int = 1) -> int:
            value = search._today_as_parameters()[name]
            assert low <= value <= high
            assert (value - low) % step == 0
            return value

    options = search.suggested(Asked())  # pyright: ignore[reportArgumentType]
    assert options == TODAY
    whole = build("two-pass").state_dict()
    assert {key: value.shape for key, value in build("two-pass", options).state_dict().items()} == {
        key: value.shape for key, value in whole.items()
    }


def test_what_may_be_taken_is_told_before() -> None:
    assert "40 core-minutes" in Plan(400, 40, 100).told()
