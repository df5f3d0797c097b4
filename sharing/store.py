"""A DVC remote and DVC's cache as stores of objects, known by the MD5 of their bytes."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from freshness import cached, configured, remotes
from freshness.contents import md5 as md5_of
from sharing.named import Output
from workflow_scripts.lib.errors import StudyError

CHUNK = 2**20  # bytes


class StoreError(StudyError):
    """A remote that is not there, or cannot be read or written."""


class NoRemoteError(StoreError):
    """DVC's configuration has no such remote."""


class Cache:
    """DVC's cache of this clone."""

    def __init__(self) -> None:
        self.folder = cached.cache_dir()

    def path(self, md5: str) -> Path:
        """Where the object is, if it is."""
        return cached.object_path(self.folder, md5)

    def has(self, md5: str) -> bool:
        """Whether the object is there with the bytes of its name."""
        path = self.path(md5)
        return path.is_file() and md5_of(path) == bare(md5)

    def read(self, md5: str) -> bytes | None:
        """Bytes of an object; None where it is absent or altered."""
        return self.path(md5).read_bytes() if self.has(md5) else None


class Remote:
    """A remote of DVC's configuration, the default one where no name is given; StoreError where there is none."""

    def __init__(self, name: str | None = None) -> None:
        said = configured.settings()
        name = (name or (said["core.remote"].value if "core.remote" in said else "")).lower()  # as DVC has them
        if f"remote.{name}.url" not in said:
            known = ", ".join(remotes.names(said)) or "none"
            what = f"no remote {name}" if name else "no default remote"
            raise NoRemoteError(f"{what}, and of others {known}: `make remote URL=...` adds one (docs/sharing.md)")
        configured.need_dvc(f"remote {name}")
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            remote = Repo().cloud.get_remote(name)
            self.store = remote.odb
        except (DvcException, ImportError) as error:
            raise StoreError(f"remote {name}: {_first_line(error)} (docs/sharing.md)") from None
        self.name, self.url = remote.name, remote.fs.unstrip_protocol(remote.path)
        self.jobs = remote.fs.jobs  # how many transfers DVC makes at once

    def _chunks(self, md5: str) -> Iterator[bytes]:
        """Bytes of an object, piece by piece; FileNotFoundError where it is absent, IsADirectoryError for a folder."""
        try:
            with self.store.fs.open(self.store.oid_to_path(md5), "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except Exception as error:  # each kind of remote has its own
            absent = isinstance(error, FileNotFoundError) and not _of_the_way(error)
            if absent or isinstance(error, IsADirectoryError):
                raise
            raise self._unreachable(error) from error

    def md5(self, md5: str) -> str | None:
        """MD5 of the bytes that the remote has under a name, read in full; None where it has none."""
        digest = hashlib.md5()
        try:
            for chunk in self._chunks(md5):
                digest.update(chunk)
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            return "none: a folder stands in its place"
        return digest.hexdigest()

    def read(self, md5: str) -> bytes | None:
        """Bytes of an object; None where it is absent or altered."""
        try:
            content = b"".join(self._chunks(md5))
        except (FileNotFoundError, IsADirectoryError):
            return None
        return content if hashlib.md5(content).hexdigest() == bare(md5) else None

    def put(self, md5: str, path: Path) -> None:
        """Put a file in place of an object, whatever is there."""
        from dvc_objects.fs.local import localfs

        try:
            with suppress(FileNotFoundError):
                self.store.fs.rm(self.store.oid_to_path(md5), recursive=True)
            self.store.add([str(path)], localfs, [md5], check_exists=False)
        except Exception as error:
            raise self._unreachable(error) from error

    def look_again(self) -> None:
        """Have DVC forget what it believes this remote to hold: it asks for lists of folders only, not their files."""
        from dvc_data.hashfile.db import get_index

        get_index(self.store).clear()

    def _unreachable(self, error: Exception) -> StoreError:
        return StoreError(f"remote {self.name} ({self.url}) cannot be used: {_first_line(error)}")


def lists(recorded: Iterable[Output], cache: Cache, remote: str | None = None) -> dict[str, bytes | None]:
    """MD5 -> the list of files of every folder among some outputs, from the cache or a remote; None for a lost one.

    NoRemoteError where the cache lacks one and there is no remote.
    """
    found = {output.md5: cache.read(output.md5) for output in recorded if output.is_folder}
    if None in found.values():
        there = Remote(remote)
        found |= {md5: there.read(md5) for md5, listed in found.items() if listed is None}
    return found


def bare(md5: str) -> str:
    """The MD5 of an object's bytes: its name, without the mark of a folder's list."""
    return md5.partition(".")[0]


def _of_the_way(error: FileNotFoundError) -> bool:
    """Whether what is not found was not reached: over HTTP a server that does not answer is told as a missing file."""
    return isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
