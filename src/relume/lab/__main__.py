"""`python -m relume.lab`: training on a machine that has PyTorch and little else.

The commands `train` and `bench` are those of `relume train` and `relume lab bench`, without what these need
beyond PyTorch, NumPy, Pillow, safetensors, pydantic, rich and array-api-compat.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from relume.errors import ExitCode, RelumeError
from relume.files import write_file
from relume.lab.bench import as_csv, measure, table
from relume.lab.recipes import RECIPES, find_recipe
from relume.lab.run import Run
from relume.lab.training.loop import train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m relume.lab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER")
    common.add_argument("--device", default="auto")
    common.add_argument("--workers", type=int, help="processes that make batches; all cores but one on CUDA")
    training = commands.add_parser("train", parents=[common], help="train by a recipe")
    training.add_argument("recipe", help="name of a recipe, or a recipe.json")
    training.add_argument("--out", "-o", type=Path)
    training.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    training.add_argument("--minutes", type=float, default=0.0)
    training.add_argument("--max-file-mib", type=int, default=0)
    training.add_argument("--resume", action="store_true")
    training.add_argument("--quiet", "-q", action="store_true")
    training.set_defaults(act=_train)
    bench = commands.add_parser("bench", parents=[common], help="measure crops per second")
    bench.add_argument("recipes", nargs="*", default=sorted(RECIPES))
    bench.add_argument("--seconds", type=float, default=3.0)
    bench.add_argument("--out", "-o", type=Path)
    bench.set_defaults(act=_bench)
    given = parser.parse_args(arguments)
    try:
        given.act(given)
    except RelumeError as error:
        print(f"relume: {error}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("relume: interrupted.", file=sys.stderr)  # noqa: T201
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK)


def _train(given: argparse.Namespace) -> None:
    recipe = find_recipe(given.recipe, given.changes)
    run = given.out or Path("runs") / recipe.name
    how = {"device": given.device, "resume": given.resume, "quiet": given.quiet, "minutes": given.minutes}
    train(recipe, given.data, run, workers=given.workers, **how)
    if given.max_file_mib:
        Run(run).keep_small(given.max_file_mib << 20)


def _bench(given: argparse.Namespace) -> None:
    recipes = [find_recipe(name) for name in given.recipes]
    speeds = [
        one
        for each in recipes
        for one in measure(each, given.data, given.device, given.seconds, given.workers)
    ]
    print(table(speeds), end="")  # noqa: T201
    if given.out:
        write_file(given.out, as_csv(speeds))


if __name__ == "__main__":
    sys.exit(main())
