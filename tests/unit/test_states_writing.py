"""States that are written while the next ones are computed are the same file, and what fails then is raised."""

import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from workflow_scripts.lib.artifacts import states_writing
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.artifacts.states_format import Given, Unembedding
from workflow_scripts.lib.artifacts.states_writing import Answered, Asked, OfLabels, state_writer

SETS = [f"set-{i}" for i in range(4)]
ASKED = Asked(["a", "b"], [0, 1], [7, 8], ["p", "q"], [3, 4], ["x", "y"])


def answered(seed):
    dice = np.random.default_rng(seed)
    states, scores = dice.normal(size=(2, 3, 5)).astype(np.float32), dice.normal(size=(2, 2))
    return Answered(states, np.array([1, 2]), OfLabels(scores, np.array([0, 1])))


def written(path, *, beside):
    with state_writer(path, {"arm": "icl"}, Unembedding(np.ones((2, 5)), None), beside=beside) as writer:
        for seed, each in enumerate(SETS):
            writer.write(Given("icl", each, "digest"), ASKED, answered(seed))
    return path.read_bytes()


def test_the_file_is_the_same(tmp_path):
    assert written(tmp_path / "one.parquet", beside=True) == written(tmp_path / "other.parquet", beside=False)
    with open_states(tmp_path / "one.parquet") as file:
        assert [*file.sets] == SETS
        assert np.array_equal(file.states("set-3", 1), answered(3).states[:, 1])


@pytest.mark.parametrize("beside", [True, False])
def test_it_is_written_by_a_thread_only_where_that_is_asked_for(tmp_path, monkeypatch, beside):
    threads, made = set(), states_writing._table
    monkeypatch.setattr(
        states_writing, "_table", lambda *given: threads.add(threading.current_thread().name) or made(*given)
    )
    written(tmp_path / "states.parquet", beside=beside)
    assert threads == ({"states_0"} if beside else {threading.main_thread().name})
    assert not any(one.name == "states_0" for one in threading.enumerate())


@pytest.mark.parametrize("full_at", [0, len(SETS) - 1], ids=["the first", "the last"])
def test_what_fails_beside_is_raised_and_leaves_no_file(tmp_path, monkeypatch, full_at):
    whole, calls = pq.ParquetWriter.write_table, []

    def write_table(*given, **more):
        calls.append(1)
        if len(calls) == full_at + 1:
            raise OSError("No space left on device")
        return whole(*given, **more)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_table)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path / "states.parquet", beside=True)
    assert not (tmp_path / "states.parquet").exists()
