"""The page as files: what a browser needs to enhance photos by itself, from any host or the service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

from relume.errors import MissingExtra, OutputExists
from relume.files import check_folder, holds_anything, make_folder, write_file
from relume.look.decide import LARGE
from relume.models import list_models, load_card, load_graph
from relume.models.card import graphs_for
from relume.options import DEFAULT_MODEL, Controls
from relume.version import __version__

PAGE = resources.files("relume") / "page"
"""The folder of the page's own files."""

FACTS = "site.json"
"""What the page asks for first."""

_RUNTIME = "vendor/ort.wasm.min.mjs"
_OPTIONAL = ("vendor/ort.webgpu.min.mjs", "vendor/ort-wasm-simd-threaded.asyncify.")
"""Parts of the runtime that few devices take; browsers keep them when they do."""

_PRECISION = "float32"
"""Of the networks in browsers, where it runs on any graphics processor and agrees best."""

_CARD = ("summary", "thumbnail_size", "size_multiple", "halo", "margin", "licence")
_BUILDING = "vendor.mjs"


def has_runtime() -> bool:
    """Whether the page can compute by itself: no clone holds its runtime until `make page` puts it there."""
    return (PAGE / _RUNTIME).is_file()


def check_runtime() -> None:
    """Refuse a page that could not compute.

    Raises:
        MissingExtra: its runtime is not there.
    """
    if not has_runtime():
        raise MissingExtra(
            "the page's runtime (onnxruntime-web) is not here",
            "Run 'make page' in a clone of relume, which needs Node 20 or later, or install a wheel.",
        )


def own_files() -> dict[str, bytes]:
    """The page's own files and its runtime, by their paths in the site."""
    files = {name: file.read_bytes() for name, file in _below(PAGE, "") if name != _BUILDING}
    return dict(sorted(files.items()))


def _below(folder: Traversable, before: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = f"{before}{entry.name}"
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        else:
            yield name, entry


def model_files() -> dict[str, bytes]:
    """The graphs of the shipped models that browsers run, by their paths in the site."""
    return {
        f"graphs/{file}": load_graph(name, card, file)
        for name, card in ((name, load_card(name)) for name in list_models())
        for file in graphs_for(card, _PRECISION).values()
        if card.global_graph is not None
    }


def facts(*, service: bool) -> dict[str, Any]:
    """What the page must know: models, controls and their defaults, names of graphs.

    Args:
        service: whether the page's host can enhance photos, too.
    """
    cards = [card for card in map(load_card, list_models()) if card.global_graph is not None]
    steps = [name for name, _ in _below(PAGE / "graphs", "")]
    return {
        "relume": __version__,
        "service": service,
        "private": has_runtime(),
        "model": DEFAULT_MODEL,
        "models": {card.name: {key: getattr(card, key) for key in _CARD} for card in cards},
        "controls": asdict(Controls()),
        "large": LARGE,
        "graphs": sorted(PurePosixPath(file).stem for file in steps),
    }


def write_site(folder: Path, *, force: bool = False) -> Mapping[str, int]:
    """Write the page as files that any host can serve; it then works by itself, without a network.

    Args:
        folder: new, empty, or of an earlier site.
        force: whether files of an earlier site may be replaced.

    Returns:
        Bytes of each file, by its path in the folder.

    Raises:
        MissingExtra: as `check_runtime`.
        OutputExists: the folder holds something else, or an earlier site and `force` is not given.
        OutputUnwritable: a folder or a file cannot be written.
    """
    check_runtime()
    _check_folder(folder, force)
    files = own_files() | model_files()
    kept = [name for name in files if not name.startswith(_OPTIONAL)]
    version = hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files.values())).hexdigest()
    said = {**facts(service=False), "version": version[:16], "files": sorted(kept)}
    files[FACTS] = json.dumps(said, indent=1).encode()
    for name, content in files.items():
        make_folder((folder / name).parent)
        write_file(folder / name, content)
    return {name: len(content) for name, content in files.items()}


def _check_folder(folder: Path, force: bool) -> None:
    check_folder(folder)
    if not holds_anything(folder):
        return
    if not (folder / FACTS).is_file():
        raise OutputExists("holds other files", "Name a new or an empty folder.", path=folder)
    if not force:
        raise OutputExists("holds a site already", "Add --force to replace it.", path=folder)
