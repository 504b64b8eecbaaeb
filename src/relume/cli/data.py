"""`relume data`: check, describe, unpack, split, compare, show, pack and shard data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli import completion
from relume.cli.console import counting, report
from relume.cli.options import LayoutOption, QuietOption
from relume.cli.outputs import JsonOption
from relume.cli.process import prepare
from relume.errors import DataError, UsageError
from relume.files import check_target, write_file
from relume.progress import on_one_line

if TYPE_CHECKING:
    from relume.datasets.leakage import Leakage
    from relume.datasets.manifest import Findings, Manifest

app = typer.Typer(
    help="Check, describe, unpack, split, compare and show data sets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command()
def verify(
    root: Annotated[
        Path | None, typer.Argument(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="NAME|FILE",
            help="A known set (lol_v1, sice_part1), or a manifest file that describes ROOT itself. "
            "Without it: all known sets that are there.",
        ),
    ] = None,
    only: Annotated[str, typer.Option(help="Check this folder of the set alone, such as eval15.")] = "",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check unpacked data against its manifest: missing, changed and unexpected files.

    [bold]relume data verify ~/data --manifest lol_v1 --only eval15[/bold]
    """
    if only and name is None:
        raise UsageError("--only needs --manifest", "Say which set has that folder.")
    from relume.cli.laboratory import data_root
    from relume.datasets.manifest import verify as verify_folder

    prepare()
    results: list[Findings] = []
    for folder, manifest in _sets(data_root(root), name):
        with counting(manifest.name, quiet=quiet) as progress:
            results.append(verify_folder(folder, manifest, only=only, progress=progress))
    _report_findings(results, as_json)


@app.command()
def describe(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    layout: LayoutOption = None,
    name: Annotated[str, typer.Option(help="Short name of the set; a layout has one.")] = "",
    terms: Annotated[str, typer.Option(help="Terms under which it may be used; a layout has some.")] = "",
    title: Annotated[str, typer.Option(help="What it is, in a line.")] = "",
    source: Annotated[str, typer.Option(help="Where it comes from.")] = "",
    near: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder in it that holds copies from a lossy format; they are compared by what they look "
            "like, since decoders differ by a level. May be repeated.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .json file; stdout otherwise.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Make a manifest of your own data, for `relume data verify` to check later.

    [bold]relume data describe ~/pairs --name mine --terms "my own photos" -o mine.json[/bold]

    With [bold]--layout[/bold], the pairs of that part are checked first, and name, terms, title and source
    come from the layout unless they are given.
    """
    _check_out(out, ".json")
    from relume.datasets.layouts import find_layout, layout_pairs
    from relume.datasets.manifest import describe as describe_folder

    if layout:
        known, _ = find_layout(layout)
        layout_pairs(folder, layout)
        name, terms = name or known.name, terms or known.terms
        title, source = title or known.title, source or known.source
    if not (name and terms):
        raise UsageError("a manifest needs --name and --terms", "Give both, or name a --layout.")
    prepare()
    with counting("files", quiet=quiet) as progress:
        manifest = describe_folder(
            folder, name, terms, title=title, source=source, near=near or (), progress=progress
        )
    _emit(manifest.to_json(), out, quiet=quiet)


@app.command()
def unpack(
    source: Annotated[Path, typer.Argument(help="Folder of copies, JPEG XL or PNG.")],
    dest: Annotated[Path, typer.Argument(help="Data root to fill.")],
    only: Annotated[str, typer.Option(help="Take folders of this name alone: our485 or eval15.")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes to use.")] = 2,
    quiet: QuietOption = False,
) -> None:
    """Turn JPEG XL copies into PNG files, in the same folders; other files are copied.

    Files that exist are skipped, so an interrupted run resumes where it stopped.
    """
    from relume.lab.data.unpack import unpack as unpack_folder

    with counting("files", quiet=quiet) as progress:
        done = unpack_folder(source, dest, only=only, workers=workers, progress=progress)
    report(f"{dest}: {done.written} written, {done.existing} there already, {done.pairs} pairs", quiet=quiet)


@app.command()
def layouts() -> None:
    """List the published sets that relume knows by layout: what it calls them, and how their files lie.

    [bold]relume evaluate ~/LOL-v2 --layout lol-v2-real/test[/bold] uses one as it was unpacked.
    """
    from relume.datasets.layouts import LAYOUTS

    for layout in LAYOUTS.values():
        typer.echo(f"{layout.name}: {layout.title}")
        typer.echo(f"  {layout.source or '-'}; {layout.terms}; usually in $RELUME_DATA/{layout.folder}")
        for name, part in layout.parts.items():
            typer.echo(f"  {layout.name}/{name}: {part.low}" + (f" -> {part.high}" if part.high else ""))


@app.command()
def split(
    folder: Annotated[
        Path, typer.Argument(help="Folder with low/ and high/, or with pairs.csv; or as --layout says.")
    ],
    layout: LayoutOption = None,
    share: Annotated[float, typer.Option(help="Part of the images to hold out, between 0 and 1.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .json file; stdout otherwise.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Hold out whole scenes for validation, so that no scene is in both parts."""
    if not 0 < share < 1:
        raise UsageError(f"--share {share} is out of range", "Give a number between 0 and 1.")
    _check_out(out, ".json")
    from relume.datasets.layouts import layout_pairs
    from relume.datasets.pairs import list_pairs
    from relume.datasets.splits import make_split

    pairs = layout_pairs(folder, layout) if layout else list_pairs(folder)
    with counting("images", quiet=quiet) as progress:
        made = make_split(pairs, share, seed, progress)
    _emit(json.dumps(made, indent=1) + "\n", out, quiet=quiet)


@app.command()
def leakage(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of well-lit images.")],
    second: Annotated[Path | None, typer.Argument(metavar="[B]", help="The folder to compare with.")] = None,
    split_name: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="SPLIT",
            help="Compare both parts of this split of A instead of B: its name or file.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least similarity to report; that of the split otherwise.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 9 when anything is found.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find images of one folder that show a scene of another: copies and near-duplicates.

    [bold]relume data leakage data/lol_v1/eval15/high data/lol_v1/our485/high[/bold]

    [bold]relume data leakage data/lol_v1/our485 --split our485_scenes --fail[/bold]
    """
    if (second is None) == (split_name is None):
        raise UsageError("one of B and --split is needed", "Name a second folder, or a split of the first.")
    from relume.datasets.duplicates import SAME_SCENE
    from relume.datasets.leakage import find_leakage, images_of, sides_of_split

    prepare()
    if second is not None:
        images = images_of(first), images_of(second)
    else:
        images = sides_of_split(first, split_name or "")
    limit = SAME_SCENE if threshold is None else threshold
    with counting("images", quiet=quiet) as progress:
        found = find_leakage(*images, threshold=limit, progress=progress)
    _report_leakage(found, as_json)
    if fail and found.matches:
        raise DataError(
            f"{len(found.matches)} pairs show one scene", "Keep whole scenes on one side.", path=first
        )


@app.command()
def samples(
    recipe: Annotated[
        str,
        typer.Option(help="Name of a recipe, or a recipe.json of a run.", autocompletion=completion.recipes),
    ] = "photo",
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png file.")] = Path("samples.png"),
    count: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    crop: Annotated[int, typer.Option(min=16, help="Side of a sample in pixels.")] = 256,
) -> None:
    """Draw what a recipe's training sees: inputs, the same as bright as the target, and targets.

    Above each stand its source and what was drawn: exposure, photoelectrons of a white pixel, and more.

    [bold]relume data samples --recipe photo --count 24 -o samples.png[/bold]
    """
    from relume.cli.laboratory import data_root, require_laboratory

    require_laboratory()
    from relume.evaluate.sheet import comparison_png
    from relume.lab.data.samples import COLUMNS, sample_rows
    from relume.lab.recipes import find_recipe

    _check_out(out, ".png")
    prepare()
    chosen = find_recipe(recipe)
    rows = sample_rows(data_root(data), chosen.data, count=count, seed=seed, crop=crop)
    page = comparison_png(rows, COLUMNS, title=f"Training samples of {chosen.name}", cell_width=crop)
    write_file(out, page)
    report(f"wrote {out}")


@app.command()
def pack(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a recipe.json of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    part_mib: Annotated[int, typer.Option(min=1, help="Largest size of a part, in MiB.")] = 56,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value; may be repeated.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Put all images of a recipe into a few large files, for training on another machine.

    Files are carried as they are. Pack from the JPEG XL copies of a set, if you have them: they are smaller.

    [bold]relume data pack lol --data ~/copies -o packs/lol[/bold]
    """
    from relume.cli.laboratory import data_root, require_laboratory

    require_laboratory()
    from relume.lab.data.pack import pack as pack_recipe
    from relume.lab.recipes import find_recipe

    prepare()
    chosen = find_recipe(recipe, changes or [])
    with counting("images", quiet=quiet) as progress:
        done = pack_recipe(data_root(data), chosen.data, out, part_mib << 20, progress)
    size = done.size / (1 << 20)
    report(f"{out}: {done.images} images in {done.parts} parts, {size:.1f} MiB", quiet=quiet)


@app.command("shard")
def write_shards(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a recipe.json of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    shard_mib: Annotated[int, typer.Option(min=1, help="Size of a shard, at most.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order in which pairs lie in the shards.")] = 0,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value; may be repeated.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Put all pairs of a recipe into tar files after WebDataset's convention, in an order shuffled by seed.

    Training reads from them what it draws, when it draws it, so that memory does not limit the data: the same
    batches as from the folders, by any number of processes, which resume exactly where a run was stopped.

    [bold]relume data shard photo --data ~/data -o shards/photo[/bold]

    [bold]relume train photo --data shards/photo[/bold]
    """
    from relume.cli.laboratory import data_root, require_laboratory

    require_laboratory()
    from relume.lab.data.shard import shard
    from relume.lab.recipes import find_recipe

    prepare()
    chosen = find_recipe(recipe, changes or [])
    with counting("pairs", quiet=quiet) as progress:
        done = shard(data_root(data), chosen.data, out, shard_mib << 20, seed, progress)
    size = done.size / (1 << 20)
    report(f"{out}: {done.samples} pairs in {len(done.shards)} shards, {size:.1f} MiB", quiet=quiet)


def _sets(root: Path, name: str | None) -> list[tuple[Path, Manifest]]:
    """Folders to check with their manifests."""
    from relume.datasets.manifest import committed_sets, read_manifest

    if name is not None:
        return [(root if name.endswith(".json") else root / name, read_manifest(name))]
    there = [known for known in committed_sets() if (root / known).is_dir()]
    if not there:
        raise DataError(
            f"holds none of the sets {', '.join(committed_sets())}", "Check the data root.", path=root
        )
    return [(root / known, read_manifest(known)) for known in there]


def _report_findings(results: list[Findings], as_json: bool) -> None:
    """Print what was found, then raise DataError if a set differs from its manifest."""
    if as_json:
        typer.echo(json.dumps([findings.to_json() for findings in results], indent=1))
    else:
        for findings in results:
            verdict = "intact" if findings.intact else "differs"
            typer.echo(f"{findings.name}: {findings.checked} files, {verdict}")
            for kind in ("missing", "changed", "unexpected"):
                for path in getattr(findings, kind):
                    typer.echo(f"  {kind}  {on_one_line(path)}")
    wrong = [findings for findings in results if not findings.intact]
    if wrong:
        raise DataError(
            "; ".join(findings.summary() for findings in wrong),
            "Get these files again, or unpack them again after removing them.",
            path=", ".join(str(findings.folder) for findings in wrong),
        )


def _report_leakage(found: Leakage, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    for match in found.matches:
        kind = "identical" if match.identical else "one scene"
        typer.echo(on_one_line(f"{match.similarity:.3f}  {kind}  {match.first}  {match.second}"))
    (first, second), (of_first, of_second) = found.affected, found.images
    typer.echo(
        f"{first} of {of_first} images of the first set show a scene of the second, "
        f"{second} of {of_second} the other way; {len(found.matches)} pairs, {found.identical} identical; "
        f"highest similarity {found.highest:.3f}, threshold {found.threshold}"
    )


def _emit(text: str, out: Path | None, *, quiet: bool) -> None:
    """Print a product, or write it to a file."""
    if out is None:
        typer.echo(text, nl=False)
        return
    write_file(out, text)
    report(f"wrote {out}", quiet=quiet)


def _check_out(out: Path | None, suffix: str) -> None:
    """Refuse another kind of file, such as an image of the data set, before the work is done."""
    if out is None:
        return
    if out.suffix.lower() != suffix:
        raise UsageError(f"'{out}' is not a {suffix} file", f"Give --out a name that ends in {suffix}.")
    check_target(out, [])
