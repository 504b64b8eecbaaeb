"""Ablations: a grid of recipe changes and seeds -> run folders -> one table.

Each cell is an ordinary run, so a grid that was cut off resumes where it stopped, in the middle of a run too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import torch

from relume.errors import DataError, TrainingDiverged, UsageError
from relume.evaluate.report import markdown_table
from relume.files import write_file
from relume.lab.data.paired import load_pairs, training_and_validation
from relume.lab.recipe import Recipe, override
from relume.lab.run import Run
from relume.lab.tables import from_csv, to_csv
from relume.lab.training.loop import train
from relume.lab.training.validation import SCORES, validate


@dataclass(frozen=True)
class Grid:
    """What is compared.

    Attributes:
        name: name of the grid.
        question: what it answers, in a sentence.
        recipe: returns what all cells share.
        cells: changes of each cell, as for `relume train --set`; the first cell is the baseline.
    """

    name: str
    question: str
    recipe: Callable[[], Recipe]
    cells: Mapping[str, Sequence[str]]

    @property
    def baseline(self) -> str:
        """The cell that the others are compared with."""
        return next(iter(self.cells))

    def cell(self, name: str, seed: int, changes: Sequence[str] = ()) -> Recipe:
        """The recipe of one run; `changes` act on every cell, and come last."""
        own = [f"name={self.name}-{name}", f"seed={seed}"]
        return override(self.recipe(), [*self.cells[name], *own, *changes])


@dataclass(frozen=True)
class Result:
    """Scores of one finished run on all held-out images, at full resolution.

    Attributes:
        cell, seed: which run.
        steps, seconds: what it took.
        psnr, psnr_gt_mean, ssim, images: means, and over how many images.
        processor, threads, torch: where it ran.
    """

    cell: str
    seed: int
    steps: int
    seconds: float
    psnr: float
    psnr_gt_mean: float
    ssim: float
    images: int
    processor: str
    threads: int
    torch: str


def only(grid: Grid, cells: Sequence[str]) -> Grid:
    """The grid with some of its cells alone; the first of them is the baseline.

    Raises:
        UsageError: no cell of that name.
    """
    if unknown := [cell for cell in cells if cell not in grid.cells]:
        raise UsageError(f"the grid '{grid.name}' has no cells {unknown}", f"It has {', '.join(grid.cells)}.")
    return replace(grid, cells={cell: changes for cell, changes in grid.cells.items() if cell in cells})


def run_folder(folder: Path, cell: str, seed: int) -> Path:
    """Where a cell's run with a seed lies in the grid's folder."""
    return folder / f"{cell}-{seed}"


def run_grid(
    grid: Grid,
    root: Path,
    folder: Path,
    seeds: Sequence[int],
    *,
    changes: Sequence[str] = (),
    device: str = "auto",
    quiet: bool = False,
) -> Iterator[Result]:
    """Train and score every cell that has no result yet; seed by seed, so that early tables are whole.

    A cell that diverges does not keep the others from running.

    Args:
        grid: what is compared.
        root: data root.
        folder: a run folder for each cell and seed comes below.
        seeds: seeds of each cell.
        changes: changes of every cell.

    Raises:
        UsageError: a run in the folder is of another recipe than its cell's.
        TrainingDiverged: a cell did; after all others.
    """
    diverged: list[TrainingDiverged] = []
    for seed in seeds:
        for cell in grid.cells:
            run = Run(run_folder(folder, cell, seed))
            try:
                result = _run(grid.cell(cell, seed, changes), cell, root, run, device, quiet)
            except TrainingDiverged as error:
                diverged.append(error)
            else:
                yield result
    if diverged:
        raise diverged[0]


def _run(recipe: Recipe, cell: str, root: Path, run: Run, device: str, quiet: bool) -> Result:
    run.check_recipe(recipe)
    path = run.result_file
    if not path.exists():
        if not run.is_finished:
            train(recipe, root, run.folder, device=device, resume=run.is_begun, quiet=quiet)
        write_file(path, json.dumps(asdict(_score(recipe, cell, root, run)), indent=2) + "\n")
    return _read_result(path)


def finished(grid: Grid, folder: Path) -> list[Result]:
    """Every result that a grid has left in a folder so far, by seed and cell."""
    results = [_read_result(path) for path in folder.glob(f"*/{Run(folder).result_file.name}")]
    order = {cell: place for place, cell in enumerate(grid.cells)}
    own = [result for result in results if result.cell in order]
    return sorted(own, key=lambda result: (result.seed, order[result.cell]))


def results_of(grid: Grid, path: Path) -> list[Result]:
    """A grid's results from the file that `write_results` wrote.

    Raises:
        DataError: it is no such file, holds no result, or those of cells that the grid has not.
    """
    results = read_results(path)
    if not results:
        raise DataError("holds no result yet", "Train the grid first.", path=path)
    strange = sorted({result.cell for result in results} - set(grid.cells))
    if strange:
        raise DataError(
            f"holds results of {strange}, which are not cells of the grid '{grid.name}'",
            f"Name the grid that they are of; this one has {', '.join(grid.cells)}.",
            path=path,
        )
    return results


def _read_result(path: Path) -> Result:
    return Result(**json.loads(path.read_text()))


def _score(recipe: Recipe, cell: str, root: Path, run: Run) -> Result:
    network = run.network()
    pairs = load_pairs(training_and_validation(root, recipe.data)[1])
    scores = validate(network, pairs, torch.device("cpu"))
    environment = run.environment()
    return Result(
        cell,
        recipe.seed,
        recipe.steps,
        run.metrics()[-1]["seconds"],
        images=len(pairs),
        **{name: scores[name] for name in SCORES},
        **{key: environment[key] for key in ("processor", "threads", "torch")},
    )


def write_results(results: Sequence[Result], path: Path) -> None:
    """One CSV line per run.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    write_file(path, to_csv(Result, results))


def read_results(path: Path) -> list[Result]:
    """What `write_results` wrote.

    Raises:
        DataError: it is no such file.
    """
    return from_csv(Result, path, "results of an ablation")


def table(grid: Grid, results: Sequence[Result]) -> str:
    """A Markdown table: mean and standard deviation over seeds, and the difference to the baseline.

    Differences are taken seed by seed, since runs of one seed see the same batches; an effect is worth
    the name when it is clearly larger than its own standard deviation.

    Args:
        grid: its cells give the order of the rows, its first one is the baseline, with results or without.
        results: of its cells; a cell without any has no row.
    """
    scores = {cell: {r.seed: r for r in results if r.cell == cell} for cell in grid.cells}
    baseline = scores[grid.baseline]
    rows = [["cell", "seeds", "PSNR dB", "GT-mean PSNR dB", "SSIM", f"PSNR - {grid.baseline}"]]
    for cell, by_seed in scores.items():
        if not by_seed:
            continue
        runs = list(by_seed.values())
        differences = [run.psnr - baseline[seed].psnr for seed, run in by_seed.items() if seed in baseline]
        rows.append(
            [
                cell,
                str(len(runs)),
                _spread([run.psnr for run in runs], 2),
                _spread([run.psnr_gt_mean for run in runs], 2),
                _spread([run.ssim for run in runs], 4),
                "" if cell == grid.baseline else _spread(differences, 2, signed=True),
            ]
        )
    return markdown_table(rows)


def _spread(values: Sequence[float], digits: int, *, signed: bool = False) -> str:
    """Mean and, where there are several values, their sample standard deviation."""
    if not values:
        return "-"
    text = f"{mean(values):{'+' if signed else ''}.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {stdev(values):.{digits}f}"
