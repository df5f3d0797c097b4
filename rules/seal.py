"""Seal an artifact: write beside it the recipe it was made by and the MD5 of its bytes; restore it from DVC's cache.

`python rules/seal.py seal RECIPE OUTPUT...` and `... restore RECIPE OUTPUT...` frame every job (rules/recipes.py);
`... tidy PLAN` removes what is no longer of the study (rules/dvc.smk). The standard library only, so that a job does
not wait for it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SEEN = Path(".snakemake/seen")
INDEX = Path(".dvc/tmp/recipes")
OURS = {".snakemake_timestamp"}


def recipe_path(output: str) -> Path:
    """Where the recipe of a job stands: beside its first output."""
    return Path(f"{output}.recipe")


def files_of(outputs: Iterable[str]) -> list[Path]:
    """Every file of a job's outputs, those of folders too, sorted."""
    files = []
    for output in map(Path, outputs):
        inside = (Path(folder, name) for folder, _, names in os.walk(output) for name in names)
        files += [path for path in inside if path.name not in OURS] if output.is_dir() else [output]
    return sorted(files)


def md5(path: Path) -> str:
    """MD5 of a file's bytes: DVC's name for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def contents(outputs: Iterable[str]) -> dict[str, str]:
    """File -> MD5 of its bytes. Files that are as they were last seen here (size, times, inode) are not read again."""
    outputs = list(outputs)
    memory = _memory(outputs[0])
    seen = load(memory) or {}
    now = {str(path): _identity(path) for path in files_of(outputs) if path.exists()}
    known = {
        path: seen[path]
        if seen.get(path, {}).get("identity") == identity
        else {"identity": identity, "md5": md5(Path(path))}
        for path, identity in now.items()
    }
    if known != seen:
        write(memory, known)
    return {path: entry["md5"] for path, entry in known.items()}


def _memory(output: str) -> Path:
    """Where the bytes last seen are noted: always in this folder, also for a path that leads out of it."""
    return SEEN / f"{hashlib.sha256(output.encode()).hexdigest()[:16]}-{Path(output).name}.json"


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def load(path: Path) -> dict | None:
    """A JSON file's object, or None where there is none that is whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(path: Path, value: dict) -> None:
    """Write JSON beside its target and rename it when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def name(recipe: dict) -> str:
    """16 hex digits of a recipe, without the bytes that a sealed one holds."""
    kept = {part: recipe[part] for part in ("output", "code", "params", "inputs")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def seal(recipe: dict, outputs: list[str]) -> None:
    """Write the recipe with the bytes of its outputs, last of all: an artifact without it was not finished."""
    sealed = {**recipe, "bytes": contents(outputs)}
    write(recipe_path(outputs[0]), sealed)
    remember(sealed)


def remember(sealed: dict) -> None:
    """Note which bytes a recipe gave, so that they can be had from DVC's cache when it is current again."""
    note = INDEX / name(sealed)
    if not note.exists():
        write(note, sealed["bytes"])


def restore(recipe: dict, outputs: list[str]) -> bool:
    """Bring the outputs back from DVC's cache if this recipe was followed before; whole and verified, or not at all."""
    made = load(INDEX / name(recipe))
    if made is None:
        return False
    cache = Path(
        subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True).stdout.strip()
    )
    cached = {path: cache / "files" / "md5" / digest[:2] / digest[2:] for path, digest in made.items()}
    if not all(source.is_file() and md5(source) == made[path] for path, source in cached.items()):
        return False
    for output in outputs:
        shutil.rmtree(output) if Path(output).is_dir() else Path(output).unlink(missing_ok=True)
    for path, source in cached.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    sys.stderr.write(f"{outputs[0]}: from DVC's cache\n")
    return True


def tidy(folder: str, kept: Iterable[str]) -> None:
    """Remove from a stage's folder what is not of the study any more, and folders that this leaves empty."""
    for orphan in orphans(folder, kept):
        orphan.unlink()
    for inside, _, _ in sorted(os.walk(folder), reverse=True):
        if {path.name for path in Path(inside).iterdir()} <= OURS:
            shutil.rmtree(inside)


def orphans(folder: str, kept: Iterable[str]) -> list[Path]:
    """Files of a stage's folder that are neither an output, nor in one, nor a recipe beside one."""
    kept = set(kept)
    return [path for path in files_of([folder]) if path.exists() and not kept & {str(path), *map(str, path.parents)}]


if __name__ == "__main__":
    action, plan, *paths = sys.argv[1:]
    content = load(Path(plan))
    if content is None:
        sys.exit(f"{plan} cannot be read; run again")
    if action == "seal":
        seal(content, paths)
    elif action == "restore":
        sys.exit(0 if restore(content, paths) else 1)
    else:
        for folder, kept in content.items():
            tidy(folder, kept)
