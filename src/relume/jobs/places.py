"""Places of photos: folders of this machine, and what URLs name; four verbs serve both.

A file of a place is there whole or not at all. On this machine it takes its place by a rename, in an object
store by the end of its upload, which the store makes visible at once; over SFTP by a rename again. fsspec is
imported when a URL is used, never before.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from relume.errors import (
    InputTooLarge,
    InputUnreadable,
    MissingExtra,
    OutputUnwritable,
    RelumeError,
    UsageError,
    install,
)
from relume.files import files_in, make_folder, write_file
from relume.photo.read import MAX_BYTES

_PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "sftp": "paramiko",
    "memory": "fsspec",
    "zip": "fsspec",
}
"""What opens URLs of each kind."""

_OBJECT_STORES = ("s3", "gs", "az", "abfs", "memory")
"""Where a file appears when its upload is complete, and is replaced as a whole."""

_RENAMING = ("sftp",)
"""Where a file takes another's name at once."""

_SECONDS = 10, 60
"""Longest waits for a connection, and for an answer."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": _SECONDS[0],
            "read_timeout": _SECONDS[1],
            "retries": {"max_attempts": 3},
        },
    },
    "sftp": {"timeout": _SECONDS[0]},
}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


@dataclass(frozen=True, order=True)
class Url:
    """A file or folder elsewhere, as far as needed like a `Path`.

    Attributes:
        root: kind and bucket or host: `s3://bucket/`.
        path: below it.
        tail: the archive that it lies in: `::photos.zip`.
    """

    root: str
    path: PurePosixPath
    tail: str = ""

    def __str__(self) -> str:
        return f"{self.root}{'' if self.path == PurePosixPath() else self.path}{self.tail}"

    def __truediv__(self, below: PurePath | str) -> Url:
        return replace(self, path=self.path / PurePosixPath(PurePath(below).as_posix()))

    @property
    def kind(self) -> str:
        return self.root.partition(":")[0]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def suffix(self) -> str:
        return self.path.suffix

    @property
    def parent(self) -> Url:
        return replace(self, path=self.path.parent)

    def with_name(self, name: str) -> Url:
        return replace(self, path=self.path.with_name(name))

    def relative_to(self, folder: Url) -> PurePosixPath:
        return self.path.relative_to(folder.path)

    def lies_in(self, folder: Url) -> bool:
        """Whether a folder holds it, at any depth."""
        return (self.root, self.tail) == (folder.root, folder.tail) and folder.path in self.path.parents


Location: TypeAlias = Path | Url
Where = TypeVar("Where", Path, Url)
Anywhere = TypeVar("Anywhere", bound=Location)
OnError = Callable[[InputUnreadable], object]


class Place(Protocol[Where]):
    """What holds photos."""

    def list(self, folder: Where, recursive: bool, on_error: OnError) -> Iterator[Where]:
        """Everything in a folder, or below it, that is not a folder and not hidden.

        Args:
            on_error: takes what cannot be read, while the others continue.
        """
        ...

    def read(self, file: Where) -> Path | bytes:
        """A photo's source: its path, or its bytes if there is none on this machine.

        Raises:
            InputUnreadable: it is not there, or may not be read.
            InputTooLarge: more bytes than any photo may have.
        """
        ...

    def is_whole(self, file: Where) -> bool:
        """Whether it is there; so it is whole, as what is not does not appear."""
        ...

    def write(self, file: Where, content: bytes) -> None:
        """Write a file whole or not at all, and make its folder.

        Raises:
            OutputUnwritable: no permission or space, or no such bucket.
        """
        ...


def location(text: str) -> Location:
    """The path or URL that a user has named.

    Raises:
        UsageError: a URL of another kind, of no bucket, or with a password.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return Path(text)
    kind, rest = found[1].lower(), found[2]
    if kind == "file":
        return Path(unquote(rest.removeprefix("localhost")))
    if kind not in _PACKAGES:
        kinds = ", ".join(_PACKAGES)
        raise UsageError(
            f"relume reads and writes no {kind} URLs", f"Use a path, or one of {kinds}.", path=text
        )
    if kind == "zip":
        inside, _, archive = rest.partition("::")
        if not archive:
            raise UsageError("the URL names no archive", "Write zip://FOLDER::ARCHIVE.zip.", path=text)
        return Url("zip://", PurePosixPath(inside.strip("/")), f"::{_archive(archive, text)}")
    host, _, path = ("", "", rest) if kind == "memory" else rest.partition("/")
    if ":" in host.partition("@")[0] and "@" in host:
        shown = text.replace(host.partition("@")[0], "...", 1)
        raise UsageError("a password does not belong into a URL", "Use a key or a profile.", path=shown)
    if not host and kind != "memory":
        raise UsageError("the URL names no bucket or host", f"Write {kind}://NAME/FOLDER.", path=text)
    root = f"{kind}://{host}/" if host else f"{kind}://"
    return Url(root, PurePosixPath(path.strip("/")))


def _archive(name: str, text: str) -> str:
    inner = location(name)
    if isinstance(inner, Url) and inner.tail:
        raise UsageError("an archive in an archive is not read", "Unpack the outer one.", path=text)
    return str(inner)


def named(where: Location) -> Path | str:
    """How messages call it."""
    return str(where) if isinstance(where, Url) else where


def local(where: Location) -> Path:
    """The path, where nothing else can serve.

    Raises:
        UsageError: it is a URL.
    """
    if isinstance(where, Url):
        raise UsageError("a URL does not go here", "Name a path of this machine.", path=str(where))
    return where


def place_of(where: Location) -> Place[Any]:
    """What holds a file or folder."""
    return _Remote() if isinstance(where, Url) else _Local()


def is_folder(where: Location) -> bool:
    """Whether it is a folder; of an object store, the beginning of some names.

    Raises:
        InputUnreadable: the store cannot be asked.
    """
    if isinstance(where, Url):
        with _naming(where, InputUnreadable):
            return bool(_system(where).isdir(_inside(where)))
    return os.path.isdir(where)  # noqa: PTH112 - takes any name, where Path.is_dir fails with too long ones


def matching(pattern: Url) -> list[Url]:
    """The files that a URL with wildcards matches.

    Raises:
        InputUnreadable: the store cannot be asked.
    """
    with _naming(pattern, InputUnreadable):
        found: dict[str, Any] = _system(pattern).glob(_inside(pattern), detail=True)
    top = replace(pattern, path=PurePosixPath())
    files = (name for name, about in sorted(found.items()) if about["type"] == "file")
    return [top / below for below in (_below(name, top) for name in files) if _is_plain(below)]


def check_writable(where: Location) -> None:
    """Refuse a URL of what is only read.

    Raises:
        OutputUnwritable: an archive.
    """
    if isinstance(where, Url) and where.kind not in (*_OBJECT_STORES, *_RENAMING):
        raise OutputUnwritable(
            f"relume only reads {where.kind} archives", "Name a folder or a bucket.", path=str(where)
        )


class _Local:
    """Folders of this machine."""

    def list(self, folder: Path, recursive: bool, on_error: OnError) -> Iterator[Path]:
        return files_in(folder, recursive=recursive, on_error=on_error)

    def read(self, file: Path) -> Path:
        return file

    def is_whole(self, file: Path) -> bool:
        return os.path.isfile(file)  # noqa: PTH113 - any name

    def write(self, file: Path, content: bytes) -> None:
        make_folder(file.parent)
        write_file(file, content)


class _Remote:
    """What fsspec reaches."""

    def list(self, folder: Url, recursive: bool, on_error: OnError) -> Iterator[Url]:
        try:
            with _naming(folder, InputUnreadable):
                system, inside = _system(folder), _inside(folder)
                found: dict[str, dict[str, Any]] = (
                    system.find(inside, detail=True)
                    if recursive
                    else {each["name"]: each for each in system.ls(inside, detail=True)}
                )
        except InputUnreadable as error:
            on_error(error)
            return
        for name, about in found.items():
            below = _below(name, folder)
            if about["type"] != "file" or name.endswith("/") or not below:  # an object may stand for a folder
                continue
            if any(part.startswith(".") and part != ".." for part in below.split("/")):
                continue
            if not _is_plain(below):
                reason = "a file's name cannot be kept, as it is not a plain path"
                on_error(InputUnreadable(reason, "Rename it.", path=f"{folder}/{below}"))
            else:
                yield folder / PurePosixPath(below)

    def read(self, file: Url) -> bytes:
        with _naming(file, InputUnreadable):
            system, inside = _system(file), _inside(file)
            size = int(system.info(inside)["size"] or 0)
            if size > MAX_BYTES:
                reason = f"the file has {size:,} bytes, more than the limit of {MAX_BYTES:,}"
                raise InputTooLarge(reason, "Save it smaller first.", path=str(file))
            content: bytes = system.cat_file(inside, start=0, end=size) if size else b""
        if len(content) != size:
            reason = f"it came with {len(content):,} of {size:,} bytes"
            raise InputUnreadable(reason, "Try again.", path=str(file))
        return content

    def is_whole(self, file: Url) -> bool:
        with _naming(file, InputUnreadable):
            return bool(_system(file).isfile(_inside(file)))

    def write(self, file: Url, content: bytes) -> None:
        check_writable(file)
        with _naming(file, OutputUnwritable):
            system, inside = _system(file), _inside(file)
            if file.kind in _OBJECT_STORES:
                system.pipe_file(inside, content)
                return
            folder, _, name = inside.rpartition("/")
            partial = f"{folder}/.{name[:40]}.{secrets.token_hex(4)}.partial"
            system.makedirs(folder, exist_ok=True)
            try:
                system.pipe_file(partial, content)
                system.mv(partial, inside)
            except BaseException:
                with suppress(Exception):
                    system.rm_file(partial)
                raise


def _system(where: Url) -> Any:
    """fsspec's file system for a URL."""
    return _systems(where.root, where.tail)


@cache
def _systems(root: str, tail: str) -> Any:
    try:
        core: Any = import_module("fsspec.core")
    except ImportError as error:
        raise MissingExtra("URLs need fsspec", install("cloud")) from error
    system, _ = core.url_to_fs(root + tail, **_OPTIONS.get(root.partition(":")[0], {}))
    return system


def _inside(where: Url) -> str:
    """The name that fsspec's file system knows it by."""
    return _system(where)._strip_protocol(str(replace(where, tail="")))  # public in all but name


def _below(name: str, folder: Url) -> str:
    """What fsspec calls a file, seen from a folder."""
    return name.removeprefix(_inside(folder)).removeprefix("/")


def _is_plain(below: str) -> bool:
    """Whether a name from elsewhere stays below the folder it is put into, and comes back unchanged."""
    odd = ("\0", "\\", ":") if os.name == "nt" else ("\0",)
    path = PurePosixPath(below)
    return (
        str(path) == below
        and not path.is_absolute()
        and ".." not in path.parts
        and not any(sign in below for sign in odd)
    )


@contextmanager
def _naming(where: Url, failure: type[InputUnreadable | OutputUnwritable]) -> Generator[None]:
    """Raise what goes wrong with a URL as a RelumeError that names it."""
    try:
        yield
    except RelumeError:
        raise
    except ImportError as error:
        package = _PACKAGES[where.kind]
        raise MissingExtra(
            f"{where.kind} URLs need {package}", f"Run: pip install {package}", path=str(where)
        ) from error
    except Exception as error:
        reason, remedy = _told(error, where.kind)
        raise failure(reason, remedy, path=str(where)) from error


def _told(error: Exception, kind: str) -> tuple[str, str]:
    """Reason and remedy; libraries have errors of their own, told by their names."""
    names = " ".join(each.__name__ for each in type(error).__mro__)
    said = " ".join(str(error).split())[:200].rstrip(".")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "there is no such file, folder or bucket", "Check the name."
    if isinstance(error, PermissionError) or "Forbidden" in names or "ClientAuthentication" in names:
        return f"access is refused ({said})", "Check the credentials, and what they allow."
    if "Credential" in names:
        return f"no credentials are known ({said})", f"Set them up as {_PACKAGES[kind]} expects them."
    if isinstance(error, ConnectionError | TimeoutError) or any(
        sign in names for sign in ("Connect", "Timeout", "SSH", "gaierror")
    ):
        return f"the store cannot be reached ({said})", "Check the network and the store's address."
    return f"the store fails ({type(error).__name__}{': ' if said else ''}{said})", "Try again."
