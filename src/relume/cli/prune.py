"""`relume prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli import completion
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
from relume.errors import UsageError
from relume.files import check_folder


def prune(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of the finished run of a two-pass network; it is only read.")
    ] = None,
    ratios: Annotated[
        str, typer.Option(help="Shares of the multiplications to keep, separated by commas.")
    ] = "0.85,0.7,0.55,0.4,0.3",
    recipe: Annotated[
        str,
        typer.Option(
            help="Recipe of fine-tuning, by name or file; the network comes from the run.",
            autocompletion=completion.recipes,
        ),
    ] = "photo-pruned",
    changes: ChangesOption = None,
    multiple: Annotated[
        int, typer.Option(min=1, help="Lower widths in steps of so many channels; engines like 8 or 16.")
    ] = 8,
    batches: Annotated[int, typer.Option(min=1, help="Batches that tell which channels matter.")] = 16,
    data: DataOption = None,
    runs: RunsOption = Path("runs/prune"),
    engine: EngineOption = "onnxruntime",
    size: SizeOption = "1920x1080",
    threads: ThreadsOption = 1,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.training_devices)
    ] = "auto",
    show: FromOption = None,
    as_json: JsonOption = False,
    out: ResultsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make a trained network smaller: remove channels that matter least, and fine-tune the rest.

    For each ratio three networks are compared after equally many steps: the run's own, the pruned one, and
    one of the pruned one's widths from random weights. Each is a run folder like any other, which relume
    export takes. What is finished is kept: the same command resumes after an interruption.

    [bold]relume prune runs/photo --data ~/data -o curve.csv -o curve.png[/bold]

    [bold]relume prune runs/photo --ratios 0.5 --set phases.0.steps=500[/bold] tries one ratio, shortly.

    [bold]relume prune --from benchmarks/results/pruning.csv -o curve.png[/bold] draws results again.
    """
    outputs = results_to(out, as_json=as_json)
    require_laboratory()
    from relume.lab.pruning import Effort, curve, picture, rows
    from relume.lab.trials import read_trials

    if show is not None:
        write_trials(outputs, read_trials(show), rows, picture)
        return
    if run is None:
        raise UsageError("there is no run to prune", "Name the folder of a finished one.")
    require_laboratory("torch_pruning", "onnx", "onnxscript")
    from relume.lab.recipes import find_recipe
    from relume.lab.run import Run

    prepare()
    shares, measured = _shares(ratios), clock(runs, engine, size, threads)
    check_folder(runs)
    Run(run).network()  # a run that is missing is told before data that is
    trials = curve(
        run,
        find_recipe(recipe, changes or []),
        data_roots(data),
        runs,
        shares,
        measured,
        Effort(multiple, batches),
        device=device,
        quiet=quiet,
    )
    gathered(trials, outputs, rows, picture, quiet=quiet)


def _shares(text: str) -> list[float]:
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        shares = [0.0]
    if not all(0 < share < 1 for share in shares):
        raise UsageError(f"'{text}' are not ratios", "Write numbers between 0 and 1 with commas: 0.5,0.2.")
    return shares
