"""`relume evaluate --stress`: how far models go before they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.console import counting
from relume.cli.laboratory import require_laboratory
from relume.cli.outputs import Outputs
from relume.private import lend_folder_to_matplotlib

if TYPE_CHECKING:
    from relume.evaluate.candidates import Candidate

StressOption = Annotated[
    bool,
    typer.Option("--stress", help="Put models through ever worse darkness instead; needs relume\\[lab]."),
]

USUAL_PICTURES = 4


def evaluate_stress(folder: Path | None, found: Sequence[Candidate], outputs: Outputs, *, limit: int) -> None:
    """Darken pictures in ever worse ways, enhance them, and print a table per model.

    Args:
        folder: of well-lit photographs; drawn pictures without it.
        limit: how many pictures; 0 takes four.

    Raises:
        MissingExtra: the laboratory is not installed.
        DataError: no photographs there.
    """
    require_laboratory()
    from relume.evaluate.stress import (
        Stressed,
        limits_of,
        run_stress,
        stress_csv,
        stress_picture,
        stress_table,
    )
    from relume.evaluate.tasks.items import pictures_of
    from relume.lab.data.stress import trials

    pictures = pictures_of(folder, limit or USUAL_PICTURES)
    through: dict[str, list[Stressed]] = {}
    for candidate in found:
        with counting(candidate.label) as progress:
            through[candidate.label] = run_stress(candidate.enhance, pictures, trials(), progress)
    lend_folder_to_matplotlib()

    def tables(markdown: bool) -> str:
        mark = "## " if markdown else ""
        return "\n".join(
            f"{mark}{label}\n{stress_table(rows, markdown=markdown)}" for label, rows in through.items()
        )

    content = {
        label: {"limits": limits_of(rows), "rows": [asdict(each) for each in rows]}
        for label, rows in through.items()
    }
    outputs.write(tables(False), tables(True), stress_csv(through), content, partial(stress_picture, through))
