"""Write a study to a folder that needs neither git, DVC nor Snakemake: `make export FOLDER=...`.

`artifacts/` are the artifacts with their recipes, `code/` is what git has, `ro-crate-metadata.json` says what was made
from what, SHA256SUMS and check.py check it (`make verify FOLDER=...`). Data and models from elsewhere are named, by the
MD5 of their bytes, and not copied: whoever may read the study may not have the right to them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from freshness import links, seal
from freshness.contents import contents, files_listed, load_sealed
from freshness.syntax import says
from sharing import check, crate, layout, named
from sharing.store import Cache, NoRemoteError, lists
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.study.settings import read_study

README = """\
{name}

Exported from commit {commit} of {date}.

artifacts/render_report/report.html
    the report; opens offline
artifacts/
    what was made, and beside each artifact its recipe: code, libraries, settings, inputs
code/
    what made it; README.md there says how to run it, docs/artifacts.md what each column means
code/params.yaml
    the study: models, data and settings
ro-crate-metadata.json
    what was made from what, for programs, as RO-Crate 1.1
check.py
    `python3 check.py` says whether all of it is as it was exported
"""


class ExportError(StudyError):
    """What is here is not one recorded and committed study, or the folder is taken."""


def export(folder: Path) -> None:
    """Write the study of the commit that is checked out to a new folder.

    Args:
        folder: where to; there must be nothing yet
    """
    if folder == Path():
        raise ExportError("FOLDER says where to: a folder that is not there yet")
    if folder.exists():
        raise ExportError(f"{folder} is there already: FOLDER names a new folder")
    if changed := named.git("status", "--porcelain", "--untracked-files=no").splitlines():
        raise ExportError(
            f"{changed[0][3:]} has edits that are in no commit: commit them, so that one says what this is"
        )
    files = _recorded()
    jobs = _jobs(files)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for path in files:
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            links.put(Path(path), draft / path, hard=False)
        _complete(draft, jobs)
        if found := list(check.faults(draft)):
            raise ExportError(f"{found[0]}: nothing was exported; run again when nothing else writes here")
        draft.rename(folder)
    except OSError as error:
        raise ExportError(f"{folder} cannot be written ({error.strerror}): nothing was exported") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sys.stdout.write(f"{folder}: {len(files)} files of artifacts with {len(jobs)} recipes, and the code\n")


def _recorded() -> dict[str, str]:
    """File -> MD5 of all artifacts that dvc.lock records; ExportError where one is not here as it was recorded."""
    recorded = [output for output in named.outputs() if output.path.startswith("artifacts/") and output.is_folder]
    if not recorded:
        raise ExportError("dvc.lock records no artifacts here: `snakemake` makes the study")
    cache = Cache()
    try:
        listed = lists(recorded, cache)
    except NoRemoteError:
        listed = {output.md5: cache.read(output.md5) for output in recorded}
    if lost := [output.path for output in recorded if listed.get(output.md5) is None]:
        raise ExportError(f"which files {lost[0]} has is known neither here nor in the remote: `snakemake` records it")
    files = {
        f"{output.path}/{inside}": md5
        for output in recorded
        for inside, md5 in files_listed(listed[output.md5] or b"[]").items()
    }
    here = contents([output.path for output in recorded])
    if other := [path for path in sorted(files.keys() | here) if files.get(path) != here.get(path)]:
        raise ExportError(f"{other[0]} is not as dvc.lock records it: `dvc pull`, or `snakemake` and commit dvc.lock")
    return files


def _jobs(files: dict[str, str]) -> list[crate.Job]:
    """Every job that sealed some of these files; ExportError where other code made them than is here."""
    jobs = [
        crate.Job(path, recipe, {name: f"{one}/" if Path(one).is_dir() else one for name, one in outputs.items()})
        for path in files
        if path.endswith(".recipe") and (recipe := load_sealed(Path(path))) and (outputs := layout.made_with(path))
    ]
    for job in jobs:
        for module, digest in job.recipe["code"].items():
            if module != "command" and not says(Path(module), digest):
                raise ExportError(f"{seal.first(job.outputs)} was made by another {module} than is here: `snakemake`")
    return jobs


def _complete(draft: Path, jobs: list[crate.Job]) -> None:
    """Write what stands beside the artifacts: code, words, metadata and sums."""
    date, commit = named.git("log", "-1", "--format=%cI %H").split()
    name = read_study(Path("params.yaml")).render_report.title
    (draft / crate.CODE).mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", draft / crate.CODE], input=archive.stdout, check=True)
    shutil.copyfile(Path(__file__).with_name("check.py"), draft / "check.py")
    (draft / "README.txt").write_text(README.format(name=name, commit=commit, date=date), encoding="utf-8")
    study = crate.Study(name, "In-context learning and instruction tuning compared in hidden states", date, commit)
    content = crate.metadata(study, draft, jobs)
    (draft / check.CRATE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sums = [f"{sha}  {path}\n" for path, (sha, _) in check.digests(draft).items()]
    (draft / check.SUMS).write_text("".join(sums), encoding="utf-8")


if __name__ == "__main__":
    command(export)
