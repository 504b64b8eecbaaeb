"""Write the tables of the reference that the code itself knows, and those of benchmarks' results.

    python docs/make_reference.py [--check]

They stand between `<!-- NAME, by make_reference.py -->` and `<!-- end -->`. With `--check` nothing
is written, and 1 is returned where a table is not as the code has it.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from relume.cli.app import whole
from relume.evaluate.bench import HEADINGS
from relume.evaluate.report import markdown_table
from relume.options import ENGINES, Controls, EnhanceOptions

PAGES = tuple(Path(__file__).with_name(name) for name in ("reference.md", "benchmarks.md"))
RESULTS = Path(__file__).parents[1] / "benchmarks/results"
_VALUES = {
    "model": "name or card",
    "engine": "name",
    "precision": "name",
    "device": "name",
    "threads": "0 to 1024",
    "tile": "pixels",
}
_BUSY = 1.5
"""Times that a process takes as long as its threads compute, where it had to wait for others."""

_TABLE = re.compile(r"(<!-- (\w+), by make_reference\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def attributes(owner: type) -> dict[str, str]:
    """What a docstring says of each attribute, as one line."""
    _, _, rest = (owner.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for name, text in re.findall(r"(?ms)^ {8}(\w+): (.*?)(?=^ {8}\w|^ {0,4}\w|\Z)", rest):
        found[name] = " ".join(text.split())
    return found


def options(command: str) -> dict[str, Any]:
    """The options of a command by their first name."""
    return {
        each.opts[0]: each for each in whole().commands[command].params if each.param_type_name == "option"
    }


def table(owner: type, names: Iterable[str]) -> str:
    """Options that are fields of a dataclass, told by its docstring."""
    said, shown = attributes(owner), options("enhance")
    defaults = {each.name: each.metadata["told"].default or each.default for each in fields(owner)}
    rows = [["option", "values", "default", "what it does"]]
    for name in names:
        option = shown[f"--{name.replace('_', '-')}"]
        values = (option.metavar or _VALUES.get(name, "0 to 1")).replace("|", ", ").replace("..", " to ")
        default = f"`{defaults[name]}`" if isinstance(defaults[name], str) else f"{defaults[name]:g}"
        if " " in default:
            default = default.strip("`")
        rows.append([f"`{option.opts[0]}`", values, default, said[name][0].upper() + said[name][1:]])
    return _left(rows)


def files() -> str:
    """All other options of `relume enhance`, told by its help."""
    own = {f"--{each.name.replace('_', '-')}" for each in fields(EnhanceOptions)}
    rows = [["option", "what it does"]]
    for name, option in options("enhance").items():
        if name not in own:
            words = ", ".join(f"`{each}`" for each in sorted(option.opts, key=len))
            rows.append(
                [words, option.help + ("" if option.is_flag or option.default is None else _default(option))]
            )
    return _left(rows)


def _default(option: Any) -> str:
    return f" Default: {option.default}."


def _left(rows: list[list[str]]) -> str:
    """A table whose columns are all flush left."""
    return markdown_table(rows).replace("---:", "---")


def bench() -> str:
    """What `relume bench` last wrote into the results."""
    lines = _lines("bench")
    rows = [["model, engine, precision", "photo", *HEADINGS.values()]]
    for line in lines:
        name = ", ".join(line[part] for part in ("model", "engine", "precision"))
        rows.append([name, f"{line['width']}x{line['height']}", *(line[part] for part in HEADINGS)])
    first = lines[0]
    facts = ("processor", "cores", "python", *ENGINES, "relume", "date")
    told = ", ".join(f"{fact} {first[fact]}" for fact in facts if first.get(fact))
    how = f"Measured with {first['threads']} threads, medians of {first['rounds']} rounds"
    busy = all(float(line["seconds"]) > _BUSY * float(line["processor_seconds"]) for line in lines)
    note = " Other programs kept the machine busy: processor seconds, and their ratio, count." if busy else ""
    return f"{markdown_table(rows)}\n{how}: {told}.{note}\n"


def precisions() -> str:
    """What `benchmarks/precisions.py` last wrote."""
    lines = _lines("precisions")
    sizes = list(dict.fromkeys(f"{line['width']}x{line['height']}" for line in lines))
    rows = [["model alone, processor s", *sizes, "times as fast as float32 in ONNX Runtime"]]
    for engine, precision in dict.fromkeys((line["engine"], line["precision"]) for line in lines):
        own = [line for line in lines if (line["engine"], line["precision"]) == (engine, precision)]
        seconds = [line["processor_seconds"] for line in own]
        rows.append([f"{engine}, {precision}", *seconds, ", ".join(line["times_as_fast"] for line in own)])
    return markdown_table(rows)


def stages() -> str:
    """What `benchmarks/stages.py` last wrote: seconds, and in brackets those of the processor."""
    lines = _lines("stages")
    sizes = list(dict.fromkeys(f"{line['width']}x{line['height']}" for line in lines))
    taken: dict[str, list[str]] = {}
    for line in lines:
        seconds, processor = float(line["seconds"]), float(line["processor_seconds"])
        taken.setdefault(line["stage"], []).append(f"{seconds:.3f} ({processor:.3f})")
    ratios = [f"{line['ratio']} ({line['processor_ratio']})" for line in lines if line["stage"] == "process"]
    rows = [[stage, *cells] for stage, cells in taken.items()]
    first = lines[0]
    told = f"{first['processor']}, {first['cores']} cores, {first['threads']} threads, {first['date']}"
    table = markdown_table([["stage", *sizes], *rows, ["process over codec", *ratios]])
    return f"{table}\nSeconds, and in brackets those of the processor; medians: {told}.\n"


def _lines(name: str) -> list[dict[str, str]]:
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def beside() -> str:
    """What `benchmarks/beside.py --cuts` last wrote: ratios of after to before, a row for each cut."""
    lines = _lines("beside")
    cuts = {each["before"]: f"{each['what']} (`{each['before']}`)" for each in _lines("identity")}
    columns = list(dict.fromkeys(map(_measured, lines)))
    ratios = {(line["before"], _measured(line)): f"{float(line['ratio']):.2f}" for line in lines}
    befores = dict.fromkeys(line["before"] for line in lines)
    rows = [[cuts[before], *(ratios[before, column] for column in columns)] for before in befores]
    return markdown_table([["cut", *columns], *rows])


def _measured(line: Mapping[str, str]) -> str:
    """What was measured of which photo, as a heading."""
    return f"{line['what']}, {line['case']}, {line['width']}x{line['height']}"


TABLES: Mapping[str, Callable[[], str]] = {
    "controls": lambda: table(Controls, [each.name for each in fields(Controls)]),
    "computing": lambda: table(
        EnhanceOptions, ["model", "engine", "precision", "device", "threads", "tile", "downsample"]
    ),
    "files": files,
    "bench": bench,
    "beside": beside,
    "precisions": precisions,
    "stages": stages,
}


def made(text: str) -> str:
    """The page with its tables as the code has them."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for page in PAGES:
        text = page.read_text()
        new = made(text)
        if not check:
            page.write_text(new)
        elif new != text:
            sys.exit(f"docs/{page.name}: run python docs/make_reference.py")


if __name__ == "__main__":
    main()
