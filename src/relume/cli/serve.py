"""`relume serve`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from relume.cli.options import Expand, QuietOption, expanded
from relume.errors import MissingExtra, UsageError, install
from relume.options import EnhanceOptions
from relume.service.options import OF_THE_MACHINE, PLACE, ServiceOptions, check_origin, check_token

TOKEN_VARIABLE = "RELUME_TOKEN"  # noqa: S105 - a name

_TILE = 1024
"""Smaller than for one photo at a time: a service has several, in little memory."""


_THREADS = "CPU threads of each worker; 0 shares out all that the process may use."


@expanded
def serve(
    service: Annotated[ServiceOptions, Expand()] = ServiceOptions(),  # noqa: B008 - frozen
    token: Annotated[
        str,
        typer.Option(
            help="Answer only requests with 'Authorization: Bearer TOKEN'. Other users of this machine see "
            "options of commands; the variable is safer.",
            envvar=TOKEN_VARIABLE,
            rich_help_panel=PLACE,
            show_default=False,
        ),
    ] = "",
    origin: Annotated[
        list[str],
        typer.Option(
            help="Let pages of this site ask, too (CORS), such as https://example.org. May be repeated.",
            rich_help_panel=PLACE,
            show_default="none",
        ),
    ] = [],  # noqa: B006 - Typer copies it
    anyone: Annotated[
        bool, typer.Option("--anyone", help="Serve other machines without a token.", rich_help_panel=PLACE)
    ] = False,
    options: Annotated[EnhanceOptions, Expand(OF_THE_MACHINE, help={"threads": _THREADS})] = EnhanceOptions(  # noqa: B008 - frozen
        tile=_TILE
    ),
    quiet: QuietOption = False,
) -> None:
    """Serve enhancement over HTTP, for programs and for browsers.

    [bold]relume serve[/bold] listens at http://127.0.0.1:8000, for this machine alone.

    [bold]curl -fsSF photo=@night.jpg http://127.0.0.1:8000/enhance -o bright.jpg[/bold] enhances a photo.

    Ctrl-C, or SIGTERM, stops it when what has come in is done.
    """
    from relume.cli.console import say
    from relume.service.options import is_loopback

    os.environ.pop(TOKEN_VARIABLE, None)  # not for workers
    if not token and not anyone and not is_loopback(service.host):
        raise UsageError(
            f"{service.host} is reached from other machines, and there is no token",
            f"Set {TOKEN_VARIABLE} to a long random text, or say --anyone.",
        )
    check_token(token)
    for each in origin:
        check_origin(each)
    require_service()
    from relume.service.server import serve as run

    def started(address: str) -> None:
        if not quiet:
            say(f"relume serves at {address}")

    run(service, options, token=token, origins=origin, on_start=started)


def require_service() -> None:
    """Raises MissingExtra, with the remedy, where a package of the service is not installed."""
    try:
        import fastapi  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import prometheus_client  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import python_multipart  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import uvicorn  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingExtra(f"relume serve needs {error.name}", install("serve")) from error
