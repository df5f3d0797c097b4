"""A file of hidden states: this tool's Parquet against a pickle of nested lists, Parquet as it comes, and npz.

python -m benchmarks.states_file
python -m benchmarks.states_file --d-model 128 --layers 4 --queries 20 --draws 2    # a look, in seconds

Every way holds the same columns of the same rows, read from a random LLaMA after demonstrations of each draw's own.
Our way is timed from what the reader gives, the others from columns that are ready for them; the pickle makes its
lists. Reading ends with float32 arrays in memory. The ways run in turns in one process.
"""

import argparse
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.clock import in_turns, llama, random_rows
from benchmarks.tables import table
from workflow_scripts.lib.artifacts.provenance import ids_digest
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.artifacts.states_format import Given, Unembedding
from workflow_scripts.lib.artifacts.states_writing import Answered, Asked, OfLabels, state_writer
from workflow_scripts.lib.forward.reader import Reader

Arrays = dict[str, np.ndarray]  # layer name -> [row, d_model]
LABELS = [[50], [60]]


@dataclass
class Content:
    """What the file is to hold: as the reader gives it, and as one table with the same columns."""

    arms: list[tuple[Given, Asked, Answered]]
    table: pa.Table = field(init=False)

    def __post_init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_ours(self, Path(folder) / "all")
            self.table = pq.read_table(Path(folder) / "all").replace_schema_metadata(None)
        self.columns: Arrays = {name: _array(self.table[name]) for name in self.table.column_names}

        self.states = {
            name: np.concatenate([read.states[:, layer] for _, _, read in self.arms])
            for layer, name in enumerate(name for name in self.columns if name.startswith("layer_"))
        }


def read_states(options: argparse.Namespace) -> Content:
    """States of the same queries after every draw's own demonstrations."""
    model = llama(options.d_model, options.layers, options.vocabulary)
    reader = Reader(model, LABELS, tokens_per_batch=512)
    queries = random_rows(options.queries, 20, 45, options.vocabulary, 1)
    names = [f"query-{i:06d}" for i in range(len(queries))]
    arms = []
    for draw in range(options.draws):
        prefix = [i for row in random_rows(options.demonstrations, 30, 50, options.vocabulary, 2 + draw) for i in row]
        labels = [i % len(LABELS) for i in range(len(queries))]
        last = [ids[-1] for ids in queries]
        digests = [ids_digest(prefix + ids) for ids in queries]
        asked = Asked(names, labels, [LABELS[one][0] for one in labels], digests, last, list(map(str, last)))
        read = reader.read(prefix, queries)
        answers = OfLabels(read.label_log_probs.numpy(), read.open_label.numpy())
        answered = Answered(read.states.numpy(), read.top_token.numpy(), answers)
        arms.append((Given("icl", f"{draw:016x}", f"{draw:016x}"), asked, answered))
    return Content(arms)


def write_ours(content: Content, path: Path) -> None:
    """A row group an arm, as the stage writes them."""
    rows = np.zeros((len(LABELS), content.arms[0][2].states.shape[-1]))
    with state_writer(path, {"stage": "dump_hidden_states"}, Unembedding(rows, rows)) as writer:
        for each in content.arms:
            writer.write(*each)


def read_ours(path: Path, layers: list[str]) -> Arrays:
    """Group by group, with the check of every state, as the stage that compares reads them."""
    with open_states(path) as file:
        numbers = {name: int(name.removeprefix("layer_")) for name in layers}
        return {
            name: np.concatenate([file.states(set_id, layer) for set_id in file.sets])
            for name, layer in numbers.items()
        }


def write_pickle(content: Content, path: Path) -> None:
    """Column -> nested lists."""
    with path.open("wb") as file:
        pickle.dump({name: column.tolist() for name, column in content.columns.items()}, file)


def read_pickle(path: Path, layers: list[str]) -> Arrays:
    """All of it is read for one layer too: a pickle has no parts."""
    with path.open("rb") as file:
        columns = pickle.load(file)
    return {name: np.array(columns[name], dtype=np.float32) for name in layers}


def write_parquet(content: Content, path: Path) -> None:
    """What pyarrow itself chooses for of compression, encodings and row groups."""
    pq.write_table(content.table, path)


def read_parquet(path: Path, layers: list[str]) -> Arrays:
    """The columns that are asked for."""
    columns = pq.read_table(path, columns=layers)
    return {name: _array(columns[name]) for name in layers}


def write_npz(content: Content, path: Path) -> None:
    """An array a column."""
    with path.open("wb") as file:
        np.savez(file, **content.columns)


def write_npz_compressed(content: Content, path: Path) -> None:
    """The same through zlib."""
    with path.open("wb") as file:
        np.savez_compressed(file, **content.columns)


def read_npz(path: Path, layers: list[str]) -> Arrays:
    """The arrays that are asked for."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in layers}


Write, Read = Callable[[Content, Path], None], Callable[[Path, list[str]], Arrays]
WAYS: dict[str, tuple[Write, Read]] = {
    "ours": (write_ours, read_ours),
    "pickle of nested lists": (write_pickle, read_pickle),
    "Parquet, pyarrow's defaults": (write_parquet, read_parquet),
    "npz, compressed": (write_npz_compressed, read_npz),
    "npz": (write_npz, read_npz),
}


def _array(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    if pa.types.is_fixed_size_list(flat.type):
        return flat.flatten().to_numpy().reshape(len(flat), flat.type.list_size)
    values = flat.to_numpy(zero_copy_only=False)
    return values.astype(str) if values.dtype == object else values


def compare(content: Content, folder: Path, rounds: int) -> None:
    """Print the table; SystemExit where a file does not give back the states it was given."""
    layers, paths = list(content.states), {name: folder / str(i) for i, name in enumerate(WAYS)}
    write = in_turns({name: lambda w=w, n=name: w(content, paths[n]) for name, (w, _) in WAYS.items()}, rounds)
    whole = in_turns({name: lambda r=r, n=name: r(paths[n], layers) for name, (_, r) in WAYS.items()}, rounds)
    one = in_turns({name: lambda r=r, n=name: r(paths[n], layers[-1:]) for name, (_, r) in WAYS.items()}, rounds)
    raw = sum(states.nbytes for states in content.states.values()) / 1e6
    lines = []
    for name, path in paths.items():
        size = path.stat().st_size / 1e6
        timed = [f"{took[name]:.3f} ({took[name] / took['ours']:.1f})" for took in (write, whole, one)]
        lines.append([name, *timed, f"{size:.1f} ({size / raw:.2f})"])
    unequal = [
        name
        for name, (_, read) in WAYS.items()
        if not all(np.array_equal(got, content.states[layer]) for layer, got in read(paths[name], layers).items())
    ]
    print(
        f"{content.table.num_rows} rows of {len(layers)} layers in {len(content.arms)} row groups, {raw:.1f} MB as raw "
        f"float32; ways whose states are not the ones written: {', '.join(unequal) or 'none'}\n"
    )
    header = ["way", "write, s (of ours)", "read whole, s", "read one layer, s", "MB (share of raw)"]
    print(table(header, lines))
    if unequal:
        raise SystemExit(1)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--demonstrations", type=int, default=4)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        compare(read_states(options), Path(folder), options.rounds)


if __name__ == "__main__":
    main()
