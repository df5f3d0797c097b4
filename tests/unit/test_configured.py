"""What is read of DVC's configuration without DVC is what DVC reads."""

import pytest
from dvc.config import Config

from freshness import cached, configured, links, remotes

SYSTEM = "[cache]\n    dir = of-the-system\n    type = symlink\n"
USERS = "[core]\n    remote = own\n['remote \"own\"']\n    url = ~/elsewhere\n"
OTHERS = {
    "nothing": ("", ""),
    "a folder beside the file": ("[cache]\n    dir = ../kept\n", ""),
    "a folder of the user's": ("", "[cache]\n    dir = ~/kept\n"),
    "an absolute folder": ("[cache]\ndir=/b/kept\n", ""),
    "quotes and comments": ("# first\n[cache]  # of all\n    dir = \"a # b\"  # no comment\n    type = 'copy'\n", ""),
    "a comment at once": ("[cache]\n    dir = kept#here\n", ""),
    "a list": ("", '[cache]\n    type = "hardlink,copy"\n    shared = group\n'),
    "a bare list": ("[cache]\n    type = reflink, hardlink\n", ""),
    "the later": ("[cache]\n    dir = first\n    type = copy\n", "[cache]\n    dir = second\n"),
    "capitals": ("[Cache]\n    DIR = Kept\n['remote \"Big\"']\n    url = /X\n", ""),
    "remotes": (
        '[\'remote "shared"\']\n    url = s3://a/b\n["remote \\"other\\""]\n    url = ../there\n'.replace("\\", ""),
        "['remote \"shared\"']\n    endpointurl = http://x:1/?a=b\n[core]\n    remote = shared\n",
    ),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of DVC's, with files of the system and the user that are the test's own."""
    for folder in ("system", "users", "project/.dvc"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "users"))
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "system/config").write_text(SYSTEM)
    (tmp_path / "users/config").write_text(USERS)
    return tmp_path / "project"


def dvc():
    """Setting -> its value, as DVC has them; paths are absolute."""
    settings = Config(".dvc", validate=False)
    flat = {f"{section}.{key}": value for section, some in settings.items() for key, value in some.items()}
    named = {f"remote.{name}": flat.pop(f"remote.{name}") for name in settings["remote"]}
    return flat | {f"{name}.{key}": value for name, some in named.items() for key, value in some.items()}


@pytest.mark.parametrize("name", OTHERS)
def test_settings_are_those_that_dvc_has(project, name):
    for file, text in zip((configured.OF_PROJECT, configured.OF_CLONE), OTHERS[name], strict=True):
        file.write_text(text)
    ours, theirs = configured.settings(), dvc()
    assert ours.keys() == theirs.keys()
    for key, said in ours.items():
        is_path = key == "cache.dir" or (key.endswith(".url") and "://" not in said.value)
        plain = said.value.replace(" ", "").split(",") if isinstance(theirs[key], list) else said.value
        assert (str(configured.path_of(said)) if is_path else plain) == theirs[key]
    assert str(cached.cache_dir()) == theirs["cache.dir"]
    assert cached.cache().links == [one.strip() for one in ",".join([*kinds(theirs)]).split(",")]
    assert cached.cache().shared == (theirs.get("cache.shared") == "group")


def kinds(theirs):
    said = theirs["cache.type"]
    return said if isinstance(said, list) else [said]


def test_without_any_file_the_cache_is_where_dvc_has_it(project, monkeypatch):
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", "nowhere")
    assert cached.cache() == cached.Cache(project / ".dvc/cache", [])


def test_what_is_not_whole_is_named_in_one_line(project):
    configured.OF_CLONE.write_text("[cache\n")
    with pytest.raises(configured.ConfigError, match=r"^\.dvc/config\.local is not whole: .*\[cache"):
        configured.settings()


def test_what_is_said_here_dvc_reads_and_the_rest_stays(project):
    configured.OF_PROJECT.write_text("# ours\n['remote \"there\"']\n    url = /a\n[core]\n    analytics = false\n")
    remotes.settle()
    configured.say(configured.OF_CLONE, "cache", "type", f'"{links.CHOSEN}"')
    configured.say(configured.OF_CLONE, "cache", "shared", "group")
    assert (
        dvc().items() >= {"remote.there.verify": "true", "remote.own.verify": "true", "cache.shared": "group"}.items()
    )
    assert cached.cache().links == ["hardlink", "copy"]
    assert configured.OF_CLONE.read_text().count("[cache]") == 1
    assert configured.OF_PROJECT.read_text().startswith(
        "# ours\n['remote \"there\"']\n    verify = true\n    url = /a\n"
    )
    assert remotes.unverified(configured.settings()) == []


def test_what_needs_dvc_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(configured, "find_spec", lambda name: None)
    with pytest.raises(configured.NoDvcError, match="a remote needs DVC, which is not installed here"):
        configured.need_dvc("a remote")
