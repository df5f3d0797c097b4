"""Whether a remote holds, intact, all that is recorded here: `make verify-remote [REMOTE=name] [REPAIR=1]`.

`dvc push` and `dvc status --cloud` take a folder for complete where its list is there, and an object for intact where
it has the name. Here every byte is read, which for a distant remote is a download of it all.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from freshness.contents import files_listed
from sharing import named
from sharing.store import Cache, Remote, bare, lists
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError

SHOWN = 20


class IncompleteError(StudyError):
    """The remote does not hold all that is recorded."""


def verify_remote(remote: str | None = None, repair: bool = False) -> None:
    """Say whether a remote holds every object that dvc.lock and `.dvc` files of the working tree name.

    Args:
        remote: its name; the default remote where it is not said
        repair: put objects that are absent or altered there from this clone's cache, if it has them intact
    """
    recorded = named.outputs()
    if not recorded:
        raise IncompleteError("nothing is recorded here (no dvc.lock names an output): `snakemake` makes the study")
    there, cache = Remote(remote), Cache()
    listed = lists(recorded, cache, remote)
    lost = {output.md5: output.path for output in recorded if output.is_folder and listed[output.md5] is None}
    known = [output for output in recorded if output.md5 not in lost]
    wanted = named.objects(known, lambda md5: listed[md5] or b"[]")
    found = _found(there, wanted)
    harmed = {md5: "altered" if now else "absent" for md5, now in found.items() if now != bare(md5)}
    harmed |= dict.fromkeys(lost, "a list of files that is neither there nor here")
    wanted |= lost
    if harmed:
        there.look_again()
    if repair and harmed:
        harmed = _repair(harmed, there, cache)
    if harmed:
        raise IncompleteError(_told(harmed, wanted, there, cache, repair))
    sys.stdout.write(f"{there.name} ({there.url}) holds all {len(wanted)} objects that are recorded, byte for byte\n")


def _found(there: Remote, wanted: dict[str, str]) -> dict[str, str | None]:
    """Name of an object -> MD5 of what the remote has under it."""
    with ThreadPoolExecutor(there.jobs) as readers:
        read = tqdm(readers.map(there.md5, wanted), total=len(wanted), unit="object", disable=None, leave=False)
        return dict(zip(wanted, read, strict=True))


def _repair(harmed: dict[str, str], there: Remote, cache: Cache) -> dict[str, str]:
    """Put what the cache has; what is still harmed. Lists of folders last: DVC takes them for proof of their files."""
    left = dict(harmed)
    for md5 in sorted(harmed, key=lambda md5: md5.endswith(named.FOLDER)):
        if cache.has(md5) and not (md5.endswith(named.FOLDER) and set(left) & _inside(cache, md5)):
            there.put(md5, cache.path(md5))
            if there.md5(md5) == bare(md5):
                sys.stdout.write(f"repaired: {md5} in {there.name}\n")
                del left[md5]
    return left


def _inside(cache: Cache, md5: str) -> set[str]:
    return set(files_listed(cache.read(md5) or b"[]").values())


def _told(harmed: dict[str, str], wanted: dict[str, str], there: Remote, cache: Cache, repaired: bool) -> str:
    here = sum(map(cache.has, harmed))
    lines = [f"{wanted[md5]}: {what} ({md5})" for md5, what in sorted(harmed.items(), key=lambda one: wanted[one[0]])]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    hint = (
        f"`make verify-remote REPAIR=1` puts back {here} of them, which this clone's cache has"
        if here and not repaired
        else "nobody here has them: repair from a clone that has, or make them again and `dvc push`"
    )
    intact = f"{there.name} ({there.url}) lacks {len(harmed)} of {len(wanted)} objects that are recorded:"
    return "\n".join([intact, *lines[:SHOWN], *more, hint])


if __name__ == "__main__":
    command(verify_remote)
