"""Paths and URLs alike: listed, read, asked for and written, whole or not at all."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import (
    ExitCode,
    InputTooLarge,
    InputUnreadable,
    MissingExtra,
    OutputExists,
    OutputUnwritable,
    UsageError,
)
from relume.jobs import places
from relume.jobs.batch import run_batch
from relume.jobs.inputs import find_anywhere
from relume.jobs.places import Location, Url, is_folder, location, place_of
from relume.jobs.plan import Job, Output, plan
from relume.photo import Photo
from shared import Result, digest

fsspec = pytest.importorskip("fsspec")
Make = Callable[..., Path]
Run = Callable[..., Result]


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for what a host shows over SFTP."""
    from fsspec.implementations.local import LocalFileSystem

    shown = tmp_path / "shown"
    shown.mkdir()

    class Host(LocalFileSystem):
        protocol = "sftp"

        @classmethod
        def _strip_protocol(cls, path: str, remove_trailing_slash: bool = False) -> str:
            below = path.removeprefix("sftp://host/").removeprefix(str(shown))
            return f"{shown}/{below.strip('/')}".rstrip("/")

    places._systems.cache_clear()
    before = dict(fsspec.registry)
    fsspec.register_implementation("sftp", Host, clobber=True)
    yield shown
    places._systems.cache_clear()
    fsspec.registry._registry.pop("sftp") if hasattr(fsspec.registry, "_registry") else None
    assert before is not None


def same(photo: Photo) -> Photo:
    return photo


@pytest.mark.parametrize(
    ("text", "root", "path"),
    [
        ("s3://bucket/a/b.jpg", "s3://bucket/", "a/b.jpg"),
        ("S3://bucket", "s3://bucket/", "."),
        ("gs://bucket/a/", "gs://bucket/", "a"),
        ("memory://a/b", "memory://", "a/b"),
        ("sftp://me@host:22/photos", "sftp://me@host:22/", "photos"),
        ("s3://bucket/what?#[1].jpg", "s3://bucket/", "what?#[1].jpg"),
    ],
)
def test_urls_are_read(text: str, root: str, path: str) -> None:
    assert location(text) == Url(root, PurePosixPath(path))
    assert location(str(location(text))) == location(text)


@pytest.mark.parametrize("text", ["a.jpg", "/a/b", "a:b", "C:\\a", "://", "file:///a/b%20c"])
def test_paths_stay_paths(text: str) -> None:
    assert isinstance(location(text), Path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/a", "no ftp URLs"),
        ("https://host/a.jpg", "no https URLs"),
        ("s3:///a.jpg", "no bucket"),
        ("zip://a", "no archive"),
        ("zip://a::zip://b::c.zip", "archive in an archive"),
        ("sftp://me:secret@host/a", "password"),
    ],
)
def test_other_urls_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        location(text)
    assert "secret" not in str(refused.value)


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
def test_any_name_goes_to_a_url_and_back(name: str) -> None:
    url = location("s3://bucket/in") / PurePosixPath(name)
    assert isinstance(url, Url)
    assert url.name == name
    assert location(str(url)) == url or name.endswith("/")
    assert url.relative_to(Url("s3://bucket/", PurePosixPath("in"))) == PurePosixPath(name)


def test_a_folder_is_listed_like_one_of_this_machine(memory: Any, photo: Make, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "sub/c.png", ".hidden.png", ".sub/d.png", "a.relume.jpg", "notes.txt"):
        content = photo(f"here/{name}").read_bytes() if "txt" not in name else b"words"
        (tmp_path / "here" / name).write_bytes(content)
        memory.pipe_file(f"/there/{name}", content)
    for recursive in (False, True):
        here = [found for found, _ in find_anywhere([str(tmp_path / "here")], recursive=recursive)]
        there = [found for found, _ in find_anywhere(["memory://there"], recursive=recursive)]
        seen = [path.relative_to(tmp_path / "here").as_posix() for path in here if isinstance(path, Path)]
        assert seen == [str(url).removeprefix("memory://there/") for url in there]
        assert len(seen) == (3 if recursive else 2)


def test_a_pattern_and_a_file_are_found(memory: Any) -> None:
    for name in ("a1.jpg", "a2.jpg", "b.jpg", "a[3].jpg", "a4.relume.jpg"):
        memory.pipe_file(f"/in/{name}", b"x")
    found = [str(url) for url, _ in find_anywhere(["memory://in/a*.jpg"])]
    assert found == [f"memory://in/{name}" for name in ("a1.jpg", "a2.jpg", "a[3].jpg")]
    assert [str(url) for url, _ in find_anywhere(["memory://in/a[3].jpg"])] == ["memory://in/a[3].jpg"]
    with pytest.raises(InputUnreadable, match="no photo matches"):
        find_anywhere(["memory://in/z*.jpg"])


def test_results_inside_the_folder_are_passed_over(memory: Any) -> None:
    for name in ("a.jpg", "out/a.jpg"):
        memory.pipe_file(f"/in/{name}", b"x")
    found = find_anywhere(["memory://in"], recursive=True, results=location("memory://in/out"))
    assert [str(url) for url, _ in found] == ["memory://in/a.jpg"]


def test_photos_go_from_url_to_url_and_folder_and_back(memory: Any, photo: Make, tmp_path: Path) -> None:
    content = photo("a.png").read_bytes()
    memory.pipe_file("/in/sub/a.png", content)
    there = Output(path=location("memory://out"))
    inputs = find_anywhere(["memory://in"], recursive=True)
    (outcome,) = run_batch(plan(inputs, there), there, same)
    assert outcome.status == "ok", outcome.error
    assert memory.cat_file("/out/sub/a.png") == content
    here = Output(path=tmp_path / "down", hashed=True)
    (down,) = run_batch(plan(inputs, here), here, same)
    assert (tmp_path / "down/sub/a.png").read_bytes() == content
    up = Output(path=location("memory://up"), format="jpg", hashed=True)
    (jpeg,) = run_batch(plan([(tmp_path / "a.png", tmp_path)], up), up, same)
    assert jpeg.status == "ok", jpeg.error
    assert jpeg.length == len(memory.cat_file("/up/a.jpg"))
    assert (down.length, down.sha256) == (len(content), digest(tmp_path / "a.png"))


def test_what_is_there_is_skipped(memory: Any, photo: Make) -> None:
    memory.pipe_file("/in/a.png", photo("a.png").read_bytes())
    output = Output(path=location("memory://out"), skip_existing=True)
    jobs = plan(find_anywhere(["memory://in"]), output)
    assert [[each.status for each in run_batch(jobs, output, same)] for _ in range(2)] == [
        ["ok"],
        ["skipped"],
    ]


def test_an_error_names_the_url(memory: Any) -> None:
    memory.pipe_file("/in/a.png", b"\x89PNG\r\n\x1a\n")
    jobs = [Job(location(f"memory://in/{name}"), Path("x.png")) for name in ("a.png", "b.png")]
    damaged, missing = run_batch(jobs, Output(), same)
    assert str(damaged.error).startswith("memory://in/a.png: ")
    assert isinstance(missing.error, InputUnreadable)
    assert str(missing.error) == "memory://in/b.png: there is no such file, folder or bucket. Check the name."


def test_a_large_file_is_refused_before_it_is_read(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/a.png", bytes(100))
    monkeypatch.setattr(places, "MAX_BYTES", 99)
    monkeypatch.setattr(type(memory), "cat_file", None)
    with pytest.raises(InputTooLarge, match="100 bytes, more than the limit of 99"):
        place_of(location("memory://in/a.png")).read(location("memory://in/a.png"))


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/a.png", "x//a.png"])
def test_names_that_lead_elsewhere_are_not_taken(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, b"x")
        file.writestr("good.png", b"x")
    errors: list[InputUnreadable] = []
    found = find_anywhere([f"zip://::{archive}"], recursive=True, on_error=errors.append)
    assert all(".." not in str(url) and not str(url).startswith("zip:///") for url, _ in found)
    assert f"zip://good.png::{archive}" in [str(url) for url, _ in found]


def test_archives_are_read_and_not_written(photo: Make, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(photo("a.png"), "night/a.png")
    output = Output(path=tmp_path / "out")
    (outcome,) = run_batch(plan(find_anywhere([f"zip://night::{archive}"]), output), output, same)
    assert outcome.status == "ok", outcome.error
    assert digest(tmp_path / "out/a.png") == digest(tmp_path / "a.png")
    with pytest.raises(OutputUnwritable, match="only reads zip archives"):
        Output(path=location(f"zip://out::{archive}"))


def test_an_archive_that_lies_about_sizes_is_cut_off(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(1 << 20))
    lying = content.getvalue().replace((1 << 20).to_bytes(4, "little"), (1 << 10).to_bytes(4, "little"))
    archive.write_bytes(lying)
    url = location(f"zip://a.png::{archive}")
    with pytest.raises(InputUnreadable):
        place_of(url).read(url)


def test_over_sftp_a_file_takes_its_place_by_a_rename(sftp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = location("sftp://host/out/a.png")
    place_of(url).write(url, b"first")
    place_of(url).write(url, b"second")
    assert (sftp / "out/a.png").read_bytes() == b"second"
    system = places._systems("sftp://host/", "")
    monkeypatch.setattr(system, "mv", lambda *_: (_ for _ in ()).throw(TimeoutError("gone")))
    with pytest.raises(OutputUnwritable, match="cannot be reached"):
        place_of(url).write(url, b"third")
    assert [path.name for path in (sftp / "out").iterdir()] == ["a.png"]
    assert (sftp / "out/a.png").read_bytes() == b"second"
    assert is_folder(location("sftp://host/out"))


def test_a_photo_at_a_url_is_not_replaced_in_place(memory: Any) -> None:
    memory.pipe_file("/in/a.png", b"x")
    inputs = find_anywhere(["memory://in"])
    with pytest.raises(UsageError, match="not replaced in place"):
        plan(inputs, Output(in_place=True))
    with pytest.raises(OutputExists, match="is an input"):
        plan(inputs, Output(path=location("memory://in")))


def test_results_go_beside_their_inputs(memory: Any) -> None:
    memory.pipe_file("/in/a.png", b"x")
    (job,) = plan(find_anywhere(["memory://in"]), Output())
    assert str(job.target) == "memory://in/a.relume.png"


class NoCredentialsError(Exception):
    pass


class EndpointConnectionError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("x"), "no such file, folder or bucket"),
        (PermissionError("Access Denied"), r"access is refused \(Access Denied\)"),
        (NoCredentialsError("Unable to locate"), "no credentials are known"),
        (EndpointConnectionError("no route"), "cannot be reached"),
        (TimeoutError("late"), "cannot be reached"),
        (KeyError("odd"), r"the store fails \(KeyError: 'odd'\)"),
    ],
)
def test_what_a_store_answers_is_one_line(
    memory: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    url: Location = location("memory://in/a.png")
    monkeypatch.setattr(type(memory), "pipe_file", fail)
    with pytest.raises(OutputUnwritable, match=said) as told:
        place_of(url).write(url, b"x")
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("memory://in/a.png: ")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    places._systems.cache_clear()
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtra, match="gs URLs need gcsfs"):
        find_anywhere(["gs://bucket/a.jpg"])
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match="URLs need fsspec"):
        find_anywhere(["s3://bucket/a.jpg"])


def test_paths_load_no_fsspec(photo: Make, tmp_path: Path) -> None:
    code = (
        "import sys; from relume.jobs.batch import run_batch; from relume.jobs.plan import Output, plan\n"
        "from relume.jobs.inputs import find_anywhere; from pathlib import Path\n"
        "output = Output(path=Path(sys.argv[2]))\n"
        "assert [each.status for each in run_batch(plan(find_anywhere(sys.argv[1:2]), output), output,"
        " lambda photo: photo)] == ['ok']\n"
        "assert 'fsspec' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(photo("in/a.png").parent), str(tmp_path / "out")]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_the_command_line_takes_urls(relume: Run, memory: Any, photo: Make, tmp_path: Path) -> None:
    content = photo("in/a.png").read_bytes()
    memory.pipe_file("/in/a.png", content)
    memory.pipe_file("/in/b.png", b"damaged")
    here = relume("enhance", tmp_path / "in", "-o", tmp_path / "out", "-q")
    there = relume("enhance", "memory://in", "-o", "memory://out/", "--json")
    assert here.code == 0, here.err
    assert there.code == ExitCode.BATCH_PARTLY_FAILED
    assert memory.cat_file("/out/a.png") == (tmp_path / "out/a.png").read_bytes()
    assert [line["status"] for line in there.lines] == ["ok", "failed"]
    assert there.lines[0]["output"] == "memory://out/a.png"
    again = relume("enhance", "memory://in/a.png", "-o", "memory://out", "--skip-existing")
    assert "exists, skipped" in again.err
    piped = relume("enhance", "memory://in/a.png", "-o", "-", "-q")
    assert piped.out == memory.cat_file("/out/a.png")
    assert relume("enhance", "memory://in/a.png", "--in-place").code == ExitCode.USAGE
    assert relume("enhance", "memory://in/none.png").code == ExitCode.INPUT_UNREADABLE
