"""Fetch a part of what is recorded: `make fetch STAGE=render_report`, `MODEL=name`, `CELL=model/dataset/factor`.

`dvc pull` brings everything, states of gigabytes among it; it takes paths, too. Here they are worked out from names.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from freshness import configured, remotes
from freshness.contents import files_listed
from sharing import layout, named
from sharing.store import Cache, Remote, bare, lists
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError

CELL = ("model", "dataset", "factor")
AGAIN = "`make verify-remote REPAIR=1` where they were made puts them there"
LOOKED_AT = 12  # objects of the remote that are read to say what is wrong
REFERENCE = "reference"  # the setting that every cell is compared with


class FetchError(StudyError):
    """A name of nothing that is recorded, or objects that cannot be had."""


class Asked(NamedTuple):
    """What is to be fetched: files of a stage, of those that are of no other model, data set or factor."""

    stage: str | None
    names: dict[str, str]

    def takes(self, path: str) -> bool:
        """Whether a file of the artifacts is asked for."""
        if self.stage and path.split("/")[1] != self.stage:
            return False
        of = layout.wildcards(path) or {}
        # Of a name that is asked for, what is made of all models at once is not the part.
        return not self.names or (bool(of) and all(_agrees(of, kind, name) for kind, name in self.names.items()))


def _agrees(of: dict[str, str], kind: str, name: str) -> bool:
    if kind != "factor":
        return of.get(kind, name) == name
    factor = of.get("factor") or of.get("patched") or name
    setting = of.get("setting", REFERENCE)
    return factor == name and (setting == REFERENCE or setting.startswith(f"{name}-"))


def fetch(
    stage: str | None = None, model: str | None = None, cell: str | None = None, remote: str | None = None
) -> None:
    """Pull a stage's artifacts, a model's, a cell's, or what two of these have in common, as dvc.lock records them.

    Args:
        stage: a stage of dvc.yaml; render_report is the report alone
        model: a name of params.yaml: its artifacts, and what they are made from
        cell: model/dataset/factor: what is compared there, and what that is made from
        remote: the default remote where it is not said
    """
    if not (stage or model or cell):
        raise FetchError(
            "say what: STAGE=render_report, MODEL=name or CELL=model/dataset/factor; `dvc pull` brings all"
        )
    configured.need_dvc("a remote")
    remotes.settle()
    recorded = [output for output in named.outputs() if output.path.startswith("artifacts/") and output.is_folder]
    if not recorded:
        raise FetchError("dvc.lock records no artifacts here: `git checkout` a commit that has some")
    if stage and f"artifacts/{stage}" not in {output.path for output in recorded}:
        stages = ", ".join(output.path.removeprefix("artifacts/") for output in recorded)
        raise FetchError(f"STAGE={stage}: dvc.lock records no such stage; it has {stages}")
    files = _files(recorded, remote)
    asked = Asked(stage, _names(model, cell, files))
    wanted = [path for path in files if asked.takes(path)]
    if not wanted:
        raise FetchError(f"nothing of {stage} is of that {'cell' if cell else 'model'} alone; leave one of them out")
    _pull(_targets(wanted, [*files]), {path: files[path] for path in wanted}, remote)
    sys.stdout.write(f"the {len(wanted)} files asked for are here, of {len(files)} that are recorded\n")


def _files(recorded: list[named.Output], remote: str | None) -> dict[str, str]:
    """File -> MD5 of all that is recorded; lists of folders that are not here come from the remote."""
    listed = lists(recorded, Cache(), remote)
    if lacks := [output.path for output in recorded if listed[output.md5] is None]:
        raise FetchError(f"the remote has no intact list of the files of {', '.join(lacks)}: {AGAIN}")
    return {
        f"{output.path}/{inside}": md5
        for output in recorded
        for inside, md5 in files_listed(listed[output.md5] or b"[]").items()
    }


def _names(model: str | None, cell: str | None, files: Iterable[str]) -> dict[str, str]:
    """Wildcard -> its value, of what is asked for; FetchError for what no file is of."""
    parts = cell.split("/") if cell else []
    if cell and len(parts) != len(CELL):
        raise FetchError(f"CELL={cell}: a cell is model/dataset/factor")
    cells = {tuple(of[name] for name in CELL) for path in files if {*CELL} <= {*(of := layout.wildcards(path) or {})}}
    if cell and tuple(parts) not in cells:
        raise FetchError(
            f"CELL={cell}: dvc.lock records no such cell; it has {named.listed('/'.join(one) for one in cells)}"
        )
    models = {of["model"] for path in files if "model" in (of := layout.wildcards(path) or {})}
    if model and model not in models:
        raise FetchError(f"MODEL={model}: dvc.lock records no such model; it has {named.listed(models)}")
    if model and cell and parts[0] != model:
        raise FetchError(f"MODEL={model} CELL={cell}: that cell is of another model")
    return dict(zip(CELL, parts, strict=False)) or ({"model": model} if model else {})


def _targets(wanted: list[str], files: list[str]) -> list[str]:
    """Folders whose every file is wanted, as far up as they go, and files beside: few enough for a command line."""
    left = set(files) - set(wanted)
    spoilt = {above for path in left for above in _above(path)}
    return list(dict.fromkeys(next((one for one in _above(path) if one not in spoilt), path) for path in wanted))


def _above(path: str) -> Iterator[str]:
    """Folders above a file, from that of its stage down."""
    parts = path.split("/")
    yield from ("/".join(parts[:depth]) for depth in range(2, len(parts)))


def _pull(targets: list[str], wanted: dict[str, str], remote: str | None) -> None:
    command = [sys.executable, "-m", "dvc", "pull", *(["--remote", remote] if remote else []), *targets]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        cache = Cache()
        lacks = [path for path, md5 in wanted.items() if not cache.path(md5).exists()]
        if not lacks and "--force" in done.stderr:
            raise FetchError(
                "files that are here and were edited stand in the way: move them aside, or have DVC put back what is "
                f"recorded with `dvc checkout --force PATH`. DVC says: {done.stderr.strip().splitlines()[-1]}"
            )
        if not lacks:
            raise FetchError(done.stderr.strip())
        there = Remote(remote)
        harmed = [path for path in lacks[:LOOKED_AT] if there.md5(wanted[path]) != bare(wanted[path])]
        if not harmed:
            lost = f"{len(lacks)} files that the remote has could not be brought"
            raise FetchError(f"{lost}. DVC says: {_said(done.stderr)}")
        raise FetchError(f"the remote has not, or not intact, the bytes of {named.listed(harmed)}: {AGAIN}")


def _said(errors: str) -> str:
    """The first of DVC's errors, which is of one file and says why."""
    lines = [line for line in errors.splitlines() if line.startswith("ERROR")]
    return (lines or errors.strip().splitlines() or ["nothing"])[0]


if __name__ == "__main__":
    command(fetch)
