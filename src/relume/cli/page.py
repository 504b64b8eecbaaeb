"""`relume page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def page(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the site; new or empty.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a site that is there.")] = False,
) -> None:
    """Write the page as a static site: photos are enhanced in the browser and never leave it.

    Any host of files can serve it, with or without a path before it. After the first visit it works
    without a network and can be installed like an app.

    [bold]relume page -o site[/bold], then, to look at it: [bold]python -m http.server -d site[/bold]
    """
    from relume.site import write_site

    sizes = write_site(out, force=force)
    typer.echo(f"wrote {out}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB", err=True)
