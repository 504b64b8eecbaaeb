"""Ablation grids: resumable, and a table whose numbers can be checked by hand."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relume.errors import DataError, ExitCode, TrainingDiverged, UsageError
from relume.lab import ablation
from relume.lab.ablation import (
    Grid,
    Result,
    finished,
    read_results,
    results_of,
    run_grid,
    table,
    write_results,
)
from relume.lab.methods import build_method
from relume.lab.networks import build
from relume.lab.recipe import Recipe, to_json
from relume.lab.recipes import get_recipe
from relume.lab.recipes.ablations import GRIDS, get_grid
from shared import Result as Finished

ROOT = Path(__file__).parents[2]
PAGES, RESULTS = ROOT / "docs", ROOT / "benchmarks/results"


def result(cell: str, seed: int, psnr: float) -> Result:
    return Result(cell, seed, 8, 1.5, psnr, psnr + 4, psnr / 25, 48, "AVX512", 2, "2.13.0")


@pytest.fixture
def grid(tiny_recipe: Recipe) -> Grid:
    return Grid("tiny", "Does it?", lambda: tiny_recipe, {"with": [], "without": ["losses.ssim=0"]})


@pytest.fixture
def wider(grid: Grid) -> Grid:
    return replace(grid, cells={**grid.cells, "other": ["average=0"], "last": []})


def test_the_table_shows_means_deviations_and_paired_differences(wider: Grid) -> None:
    results = [result("other", 1, 23.0), result("without", 0, 19.0), result("with", 1, 22.0)]
    results += [result("without", 1, 20.5), result("with", 0, 20.0)]
    lines = table(wider, results).splitlines()
    assert len(lines) == 5
    assert lines[0].split(" | ")[-1] == "PSNR - with |"
    assert lines[2] == "| with | 2 | 21.00 ± 1.41 | 25.00 ± 1.41 | 0.8400 ± 0.0566 |  |"
    assert lines[3] == "| without | 2 | 19.75 ± 1.06 | 23.75 ± 1.06 | 0.7900 ± 0.0424 | -1.25 ± 0.35 |"
    assert lines[4].endswith("| 1 | 23.00 | 27.00 | 0.9200 | +1.00 |")


def test_a_baseline_without_results_is_replaced_by_no_other_cell(wider: Grid) -> None:
    lines = table(wider, [result("without", 0, 19.0), result("other", 0, 20.0)]).splitlines()
    assert lines[0].split(" | ")[-1] == "PSNR - with |"
    assert lines[2] == "| without | 1 | 19.00 | 23.00 | 0.7600 | - |"
    assert lines[3] == "| other | 1 | 20.00 | 24.00 | 0.8000 | - |"
    lines = table(wider, [result("without", 0, 19.0), result("with", 1, 20.0)]).splitlines()
    assert [line.split(" | ")[-1] for line in lines[2:]] == [" |", "- |"]


def test_results_of_another_grid_are_refused(grid: Grid, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    write_results([result("with", 0, 20.0)], file)
    assert results_of(grid, file) == [result("with", 0, 20.0)]
    for cells in (["full"], ["with", "full"]):
        write_results([result(cell, 0, 20.0) for cell in cells], file)
        with pytest.raises(DataError, match=r"r\.csv.*\['full'\].*not cells of the grid 'tiny'"):
            results_of(grid, file)
    write_results([], file)
    with pytest.raises(DataError, match="no result yet"):
        results_of(grid, file)


def test_results_survive_their_file(tmp_path: Path) -> None:
    results = [result("with", 0, 20.123456789), result("without", 3, 19.0)]
    write_results(results, tmp_path / "r.csv")
    assert read_results(tmp_path / "r.csv") == results


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"x\.csv"):
        read_results(tmp_path / "x.csv")


def test_a_grid_trains_each_cell_once_and_goes_on(
    grid: Grid, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = run_grid(grid, tiny_root, tmp_path, [0, 1], device="cpu", quiet=True)
    first = next(runs)
    runs.close()
    trained: list[str] = []
    train = ablation.train

    def counting(recipe: Recipe, root: Path, run: Path, **options: object) -> Path:
        trained.append(f"{recipe.name} {recipe.seed}")
        return train(recipe, root, run, **options)

    monkeypatch.setattr(ablation, "train", counting)
    again = list(run_grid(grid, tiny_root, tmp_path, [0, 1], device="cpu", quiet=True))
    assert trained == ["tiny-without 0", "tiny-with 1", "tiny-without 1"]
    assert again[0] == first
    assert [(each.cell, each.seed) for each in again] == [
        ("with", 0),
        ("without", 0),
        ("with", 1),
        ("without", 1),
    ]
    assert again[0].psnr != again[1].psnr
    assert all(each.images == 2 and each.steps == 8 for each in again)


def test_a_folder_of_another_recipe_is_refused(grid: Grid, tiny_root: Path, tmp_path: Path) -> None:
    list(run_grid(grid, tiny_root, tmp_path, [0], device="cpu", quiet=True))
    (tmp_path / "with-0/result.json").unlink()
    with pytest.raises(UsageError, match=r"with-0.*another recipe"):
        list(run_grid(grid, tiny_root, tmp_path, [0], changes=["phases.0.steps=9"], device="cpu", quiet=True))


def test_a_diverged_cell_does_not_keep_others_from_running(
    grid: Grid, tiny_root: Path, tmp_path: Path
) -> None:
    diverging = replace(grid, cells={"wild": ["optimizer.lr=1e30", "optimizer.clip=0"], **grid.cells})
    runs = run_grid(diverging, tiny_root, tmp_path, [0], device="cpu", quiet=True)
    assert [next(runs).cell, next(runs).cell] == ["with", "without"]
    with pytest.raises(TrainingDiverged, match="wild-0"):
        next(runs)
    assert [each.cell for each in finished(diverging, tmp_path)] == ["with", "without"]


def test_cells_change_what_they_say_and_nothing_else() -> None:
    iaml = GRIDS["iaml"]
    full, plain = iaml.cell("full", 3), iaml.cell("beta-0", 3)
    assert full.seed == 3
    assert full.method_options["beta"] == 0.6
    assert plain.method_options == {**full.method_options, "beta": 0}
    assert replace(plain, name=full.name, method_options=full.method_options) == full


def test_every_grid_builds_every_cell() -> None:
    for grid in GRIDS.values():
        cells = {cell: grid.cell(cell, 1) for cell in grid.cells}
        assert {recipe.name for recipe in cells.values()} == {f"{grid.name}-{cell}" for cell in cells}
        assert len({to_json(replace(recipe, name="any")) for recipe in cells.values()}) == len(cells)
        for recipe in cells.values():
            assert recipe.seed == 1
            network = build(recipe.network, recipe.network_options)
            if recipe.method == "mirror":  # the others want teachers' weights
                build_method(recipe.method, network, recipe.losses, recipe.method_options)
    with pytest.raises(UsageError, match="no ablation is called 'x'"):
        get_grid("x")


def test_compact_claritys_grid_is_the_eight_configurations_of_the_thesis() -> None:
    grid = GRIDS["compact-clarity"]
    cells = {name: grid.cell(name, 0) for name in grid.cells}
    assert len(cells) == 8
    pixels = {
        sum(phase.steps * phase.batch * phase.crop**2 for phase in recipe.phases) for recipe in cells.values()
    }
    assert len(pixels) == 1  # the same budget for each
    terms = {name: set(recipe.losses) for name, recipe in cells.items()}
    assert terms["baseline"] == terms["progressive"] == {"charbonnier"}
    assert len(cells["baseline"].phases) == 1
    assert len(cells["progressive"].phases) == 2
    assert terms["fidelity"] == terms["full"] - {"contrastive", "adversarial"}
    assert terms["contrastive"] == terms["full"] - {"adversarial"}
    assert len(terms["full"]) == 7
    assert cells["no-stretch"].network_options["stretch"] is False
    assert "gradient" not in cells["no-stretch"].network_options


def test_teachers_of_a_model_take_half_of_the_targets_share_and_nothing_else() -> None:
    cells = {cell: GRIDS["taught"].cell(cell, 0) for cell in GRIDS["taught"].cells}
    alone, taught = cells["targets"].losses, cells["self"].losses
    assert taught == cells["ensemble"].losses
    # The method's Charbonnier term is in units that are half as large as those of imitation.
    assert 2 * alone["charbonnier"] == get_recipe("lol").losses["charbonnier"]
    assert 2 * taught["charbonnier"] + taught["imitation-earlier"] == 2 * alone["charbonnier"]
    assert {**taught, "charbonnier": 0} == {**alone, "charbonnier": 0, "imitation-earlier": 0.5}
    like = [replace(each, name="any", losses=alone, method_options={}) for each in cells.values()]
    assert like == like[:1] * 3
    assert like[0].start == "runs/lol"


@pytest.mark.parametrize("results", sorted(RESULTS.glob("ablation_*.csv")), ids=lambda path: path.stem)
def test_tables_of_the_pages_are_those_of_the_checked_in_results(results: Path) -> None:
    grid = get_grid(results.stem.removeprefix("ablation_").replace("_", "-"))
    command = f"relume ablate {grid.name} --from benchmarks/results/{results.name}"
    pages = [page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md"))]
    shown = table(grid, results_of(grid, results))
    assert [command in page for page in pages if f"\n{shown}" in page] == [True]


def test_the_command_prints_checked_in_results(relume: Callable[..., Finished], tmp_path: Path) -> None:
    write_results([result("no-mirror", 0, 20.0), result("beta-0", 0, 19.0)], tmp_path / "r.csv")
    shown = relume("ablate", "iaml", "--from", str(tmp_path / "r.csv"))
    assert shown.code == 0
    assert "| beta-0 | 1 | 19.00 | 23.00 | 0.7600 | -1.00 |" in shown.out.decode()
    refused = relume("ablate", "distillation", "--from", str(tmp_path / "r.csv"))
    assert refused.code == ExitCode.DATA
    assert refused.out == b""


def test_without_a_result_the_command_prints_no_table(
    relume: Callable[..., Finished], tmp_path: Path
) -> None:
    done = relume("ablate", "iaml", "--data", str(tmp_path), "-o", str(tmp_path / "runs"), "-q")
    assert done.code == ExitCode.DATA
    assert done.out == b""


def test_the_command_runs_the_grid(relume: Callable[..., Finished], tiny_root: Path, tmp_path: Path) -> None:
    small = [
        'network_options={"widths": [8, 8, 16, 16, 16], "head": 8}',
        "method_options.projections=[4, 4, 4, 4]",
        'phases=[{"steps": 2, "crop": 32, "batch": 2}]',
    ]
    changes = [part for change in small for part in ("--set", change)]
    out = tmp_path / "runs"
    done = relume("ablate", "iaml", "--data", str(tiny_root), "-o", str(out), "--seeds", "5", "-q", *changes)
    assert done.code == 0, done.err
    assert "| no-mirror | 1 |" in done.out.decode()
    assert {each.cell for each in read_results(out / "results.csv")} == set(GRIDS["iaml"].cells)
    done = relume("ablate", "iaml", "--data", str(tiny_root), "-o", str(out), "--seeds", "3", "-q", *changes)
    assert "| no-mirror | 2 |" in done.out.decode()
    assert [each.seed for each in read_results(out / "results.csv")][:: len(GRIDS["iaml"].cells)] == [3, 5]


def test_some_cells_are_trained_alone_and_their_maps_told_of(
    relume: Callable[..., Finished], tiny_root: Path, tmp_path: Path
) -> None:
    small = [
        'network_options={"widths": [8, 8, 16, 16, 16], "head": 8}',
        "method_options.projections=[4, 4, 4, 4]",
        'phases=[{"steps": 1, "crop": 32, "batch": 2}]',
    ]
    command = ["ablate", "iaml", "--data", tiny_root, "-o", tmp_path, "--seeds", "0", "-q"]
    command += [part for change in small for part in ("--set", change)]
    maps = tmp_path / "maps.csv"
    done = relume(*command, "--cells", "no-mirror,dimmed-decoder", "--maps", maps)
    assert done.code == 0, done.err
    with maps.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["map"]) for row in rows] == [
        (cell, str(number)) for cell in ("no-mirror", "dimmed-decoder") for number in range(5)
    ]
    assert [bool(row["share"]) for row in rows] == [*[True] * 4, False, False, *[True] * 4]
    for row in rows:
        assert float(row["log10_raw_share"]) == pytest.approx(math.log10(float(row["raw_share"])), abs=1e-4)
    refused = relume(*command, "--cells", "none-such")
    assert refused.code == ExitCode.USAGE
    assert "has no cells" in refused.err
