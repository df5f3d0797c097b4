"""How tuning went at the reference setting: losses of every adapter, and draws that a reader should know of."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from workflow_scripts.lib.report.state_tables import CASE
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, table
from workflow_scripts.lib.report.wording import number

STEPS = 50  # of a long training, as many as a figure tells apart

Adapters = Mapping[
    tuple[str, str], Sequence[Mapping[str, Any]]
]  # (model, data set) -> rows of tuning.parquet, with `draw`


class Flag(NamedTuple):
    """Why an adapter is told of."""

    says: str
    raised: Any


FLAGS = (
    Flag("did not move", lambda row: row["norm_b"] == 0),
    Flag("loss rose", lambda row: row["losses"][-1] > row["losses"][0]),
    Flag("loss is not half of what it was", lambda row: row["losses"][0] / 2 < row["losses"][-1] <= row["losses"][0]),
)


def loss_rows(adapters: Adapters) -> Iterator[tuple[Any, ...]]:
    """model, data set, draw, step, loss before it."""
    for case, rows in adapters.items():
        for row in rows:
            losses = row["losses"]
            every = max(1, -(-len(losses) // STEPS))
            for step in sorted({*range(0, len(losses), every), len(losses) - 1}):
                yield *case, row["draw"], step, losses[step]


def tuning_table(adapters: Adapters) -> Table:
    """A row of every case: losses, and which draws are flagged and why."""
    columns = [Column("adapters", "tuned"), Column("loss, nats", "before"), Column("loss, nats", "after")]
    columns += [Column("loss, nats", "largest after")]
    columns += [Column("flagged draws", flag.says) for flag in FLAGS]
    caption = "How tuning went; losses are medians over adapters, draws are counted from 0."
    return table(caption, CASE, columns, (_row(case, rows) for case, rows in adapters.items()))


def _row(case: tuple[str, str], rows: Sequence[Mapping[str, Any]]) -> Row:
    ends = [[row["losses"][end] for row in rows] for end in (0, -1)]
    cells = [str(len(rows)), number(median(ends[0])), number(median(ends[1])), number(max(ends[1]))]
    flagged = [[row["draw"] for row in rows if flag.raised(row)] for flag in FLAGS]
    told = [", ".join(draws) or "none" for draws in flagged]
    return Row([Head(name) for name in case], [Cell(text) for text in (*cells, *told)])
