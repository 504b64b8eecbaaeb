"""`relume search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli import completion
from relume.cli.console import report
from relume.cli.laboratory import data_roots, require_laboratory
from relume.cli.options import QuietOption
from relume.cli.outputs import JsonOption
from relume.cli.process import prepare
from relume.cli.trials import (
    ChangesOption,
    DataOption,
    EngineOption,
    FromOption,
    ResultsOption,
    RunsOption,
    SizeOption,
    ThreadsOption,
    clock,
    gathered,
    results_to,
    write_trials,
)
from relume.files import write_file


def search(
    budget_ms: Annotated[
        float, typer.Option(min=1, help="Most milliseconds that a photo of --size may take in the network.")
    ] = 400.0,
    size: SizeOption = "1920x1080",
    engine: EngineOption = "onnxruntime",
    threads: ThreadsOption = 1,
    minutes: Annotated[
        float, typer.Option(min=0, help="Minutes of processor time that all may take together.")
    ] = 240.0,
    recipe: Annotated[
        str,
        typer.Option(help="Recipe that runs shorten, by name or file.", autocompletion=completion.recipes),
    ] = "photo",
    changes: ChangesOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a candidate's first run.")] = 500,
    reduction: Annotated[
        int, typer.Option(min=2, help="One of so many trains on, for so many times as many steps.")
    ] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the finalists.")] = 3,
    candidates: Annotated[int, typer.Option(min=1, help="Candidates at most.")] = 50,
    data: DataOption = None,
    runs: RunsOption = Path("runs/search"),
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.training_devices)
    ] = "auto",
    show: FromOption = None,
    as_json: JsonOption = False,
    out: ResultsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Search the two-pass network's options for the best quality within a time on this machine.

    Time is measured, on exported graphs with random weights; quality is that of short runs by one half of the
    held-out images: many candidates, the best third for three times the steps, the finalists with three
    seeds, judged by the other half. Today's network takes part throughout. What is done is kept: the same
    command resumes after an interruption, or with more --minutes.

    [bold]relume search --budget-ms 400 --size 1920x1080 --engine onnxruntime --minutes 240 -o front.csv -o
    front.png[/bold]

    [bold]relume train runs/search/found.json[/bold] trains what was found.

    [bold]relume search --from front.csv -o front.png[/bold] draws results again.
    """
    outputs = results_to(out, as_json=as_json)
    require_laboratory()
    require_laboratory("optuna")
    from relume.lab.search import Plan, Search, chosen, picture, recipe_of, rows
    from relume.lab.trials import read_trials, shape

    if show is not None:
        write_trials(outputs, read_trials(show), rows, picture)
        return
    require_laboratory("onnx", "onnxscript")
    from relume.lab.recipes import find_recipe

    prepare()
    plan = Plan(budget_ms, minutes, steps, reduction, seeds, candidates)
    report(plan.told(), quiet=quiet)
    measured = clock(runs, engine, size, threads)
    task = Search(find_recipe(recipe, changes or []), data_roots(data), runs, measured, plan, device, quiet)
    trials = gathered(task.run(), outputs, rows, picture, quiet=quiet)
    report(f"{task.minutes:.1f} core-minutes were taken", quiet=quiet)
    if not trials:
        report("no candidate fits into the time; give more --minutes", quiet=quiet)
        return
    best = chosen(trials, budget_ms)
    found = runs / "found.json"
    write_file(found, recipe_of(best, find_recipe(recipe)))
    report(f"the best within {budget_ms:g} ms: {shape(best)}; wrote {found}", quiet=quiet)
