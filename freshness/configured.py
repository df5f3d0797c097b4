"""DVC's configuration, read and added to without DVC: a run need not wait for it, nor have it installed.

Four files, each of which overrules those before it, key by key: the system's, the user's, the project's, this clone's.
`dvc config` says the same of them (tests/unit/test_configured.py).
"""

import configparser
import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.lib.errors import StudyError

OF_PROJECT = Path(".dvc/config")  # committed, so that it holds for everybody
OF_CLONE = Path(".dvc/config.local")
SECTION = re.compile(r"\s*\[\s*(['\"]?)(.*)\1\s*\]")
NAMED = re.compile(r'(\w+)\s*"(.*)"')  # remote "name"
VALUE = re.compile(r"""(?:"(.*?)"|'(.*?)'|([^'"#].*?)|)\s*(?:#.*)?""", re.DOTALL)


class ConfigError(StudyError):
    """A file of DVC's configuration that cannot be read."""


class Said(NamedTuple):
    """The value of a setting, and the file that says it."""

    value: str
    file: Path


class NoDvcError(StudyError):
    """DVC is not installed, and needed."""


def dvc_installed() -> bool:
    """Whether DVC can be run here."""
    return find_spec("dvc") is not None


def need_dvc(what: str) -> None:
    """NoDvcError where DVC is not installed; `what` needs it."""
    if not dvc_installed():
        raise NoDvcError(
            f"{what} needs DVC, which is not installed here: `python -m pip install -c requirements.lock dvc`; "
            "what goes without it is in docs/sharing.md"
        )


def settings() -> dict[str, Said]:
    """Every setting by its name, like `cache.dir` and `remote.shared.url`; ConfigError where a file is not whole."""
    try:
        return _merged(tuple((file, file.read_text(encoding="utf-8")) for file in _files() if file.exists()))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"DVC's configuration cannot be read: {error}") from None


def path_of(said: Said) -> Path:
    """The folder that a setting names, absolute; a relative one is meant from the file that says it."""
    return Path(os.path.normpath(said.file.parent.absolute() / Path(said.value).expanduser()))


def say(file: Path, section: str, key: str, value: str) -> None:
    """Add a setting to a file that does not have it, and leave the rest of the file as it is."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = [number for number, line in enumerate(lines) if _section_of(line) == section.lower()]
    if not found:
        lines.append(f"['{section}']" if '"' in section else f"[{section}]")
    lines.insert(found[0] + 1 if found else len(lines), f"    {key} = {value}")
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.replace(file)


def _files() -> list[Path]:
    from platformdirs import site_config_dir, user_config_dir

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or site_config_dir("dvc", "iterative")
    users = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or user_config_dir("dvc", "iterative")
    return [Path(system, "config"), Path(users, "config"), OF_PROJECT, OF_CLONE]


@cache
def _merged(texts: tuple[tuple[Path, str], ...]) -> dict[str, Said]:
    return {name: Said(value, file) for file, text in texts for name, value in _parsed(file, text).items()}


def _parsed(file: Path, text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", default_section="")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigError(f"{file} is not whole: {' '.join(str(error).split())}") from None
    return {
        f"{_prefix(section)}.{key}": _plain(value)
        for section in parser.sections()
        for key, value in parser.items(section)
    }


def _prefix(section: str) -> str:
    name = (_section_of(f"[{section}]") or "").strip()
    return f"{named[1]}.{named[2]}" if (named := NAMED.fullmatch(name)) else name


def _section_of(line: str) -> str | None:
    found = SECTION.match(line)
    return found[2].lower() if found else None


def _plain(value: str) -> str:
    """A value without its quotes, and without the comment behind it."""
    found = VALUE.fullmatch(value)
    return next((one for one in found.groups() if one is not None), "") if found else value
