"""Two versions of a study side by side: `python -m runs.compare A [B]`, revisions of git; without B the working tree.

What settings, code and data differ, and which estimates moved: at the last layer (answers have none), an estimate has
moved where each version's mean lies outside the other's interval. Those without an interval in either version are told
apart, where their means differ. Nothing is checked out or computed again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from runs.revision import Revision
from workflow_scripts.lib.artifacts.tables import read_table
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.results.cells import KEYS, NOTHING

ESTIMATES = "artifacts/aggregate_similarity/similarity.parquet"
MATCHED = [key for key in KEYS if key != "layer"]  # the last one, which may have another number in the other version
VALUES = ["mean", "low", "high"]
ROUNDING = 1e-5  # relative: what another number of threads may change in a mean without an interval
TINY = 1e-12  # a width of an interval that has none
SMALL = 5e-4
SHOWN = 40  # rows of a list; --all shows all
NOT_SET = "not set"


def flat(settings: Any, name: str = "") -> dict[str, str]:
    """Settings by their dotted names; lists are one value."""
    if isinstance(settings, Mapping) and settings:
        return {
            key: value
            for part, inside in settings.items()
            for key, value in flat(inside, f"{name}.{part}" if name else str(part)).items()
        }
    return {name: settings if isinstance(settings, str) else json.dumps(settings, ensure_ascii=False)}


def differences(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Name -> the value in each, where they differ."""
    both = {name: (a.get(name, NOT_SET), b.get(name, NOT_SET)) for name in [*a, *(name for name in b if name not in a)]}
    return {name: (one, other) for name, (one, other) in both.items() if one != other}


def at_last_layer(estimates: pd.DataFrame) -> pd.DataFrame:
    """Estimates of answers, and of states at the last layer of their model; null keys are empty."""
    last = estimates.groupby("model")["layer"].transform("max")
    rows = estimates[estimates["layer"].isna() | (estimates["layer"] == last)]
    return rows[MATCHED].fillna(NOTHING).join(rows[VALUES])


def side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Every estimate of either at the last layer: `MATCHED`, `VALUES` with _a and _b, and who has it (`_merge`)."""
    return at_last_layer(a).merge(
        at_last_layer(b), on=MATCHED, how="outer", suffixes=("_a", "_b"), indicator=True, sort=False, validate="1:1"
    )


def have_intervals(both: pd.DataFrame) -> pd.Series:
    """Which estimates have an interval in both versions: (rows,)."""
    return both[["low_a", "low_b"]].notna().all(axis=1)


def moved(both: pd.DataFrame) -> pd.Series:
    """Which estimates moved beyond both intervals, and by more than rounding: (rows,)."""
    return differ(both) & _outside(both, "a", "b") & _outside(both, "b", "a")


def _outside(both: pd.DataFrame, one: str, other: str) -> pd.Series:
    """Whether one's mean is outside the other's interval."""
    mean = both[f"mean_{one}"]
    return (mean < both[f"low_{other}"]) | (mean > both[f"high_{other}"])


def differ(both: pd.DataFrame) -> pd.Series:
    """Which means are other numbers, by more than rounding, or are there in one version alone: (rows,)."""
    a, b = both["mean_a"], both["mean_b"]
    return ((a - b).abs() > ROUNDING * np.maximum(a.abs(), b.abs())) | (a.notna() != b.notna())


def lines(a: Revision, b: Revision, shown: int = SHOWN) -> Iterator[str]:
    """The comparison as text."""
    yield f"A: {a.name}    B: {b.name}"
    yield from _settings(differences(flat(a.settings), flat(b.settings)))
    ingredients = [*differences(a.ingredients, b.ingredients)]
    yield from _list("Code, data and libraries that differ", ingredients, shown)
    both = side_by_side(*(read_table(revision.file(ESTIMATES), [*KEYS, *VALUES]).to_pandas() for revision in (a, b)))
    for side, name in (("left_only", "A"), ("right_only", "B")):
        alone = both[both["_merge"] == side]
        yield from _list(f"Estimates only in {name}, by place", _places(alone), shown, len(alone))
    both = both[both["_merge"] == "both"].reset_index(drop=True)
    yield ""
    if both.empty:
        yield "No estimate is in both, so nothing is compared: models and data sets are told by their names."
        return
    yield "At the last layer, [interval of each by itself]; of many estimates some move by chance:"
    told = have_intervals(both)
    yield from _found("Estimates that moved beyond both intervals", both[told], moved(both[told]), shown)
    yield from _found("Estimates without an interval that differ", both[~told], differ(both[~told]), shown)


def _found(head: str, rows: pd.DataFrame, found: pd.Series, shown: int) -> Iterator[str]:
    yield ""
    yield f"{head}: {found.sum()} of {len(rows)}"
    yield from _tables(rows[found], shown)


def _settings(differing: dict[str, tuple[str, str]]) -> Iterator[str]:
    yield ""
    yield f"Settings that differ: {len(differing) or 'none'}"
    width = max(map(len, differing), default=0)
    yield from (f"  {name:{width}}  {one} -> {other}" for name, (one, other) in differing.items())


def _list(head: str, rows: list[str], shown: int, count: int | None = None) -> Iterator[str]:
    """A list under its head, which counts its rows or what is said; nothing where it is empty."""
    if rows:
        yield ""
        yield f"{head}: {len(rows) if count is None else count}"
        yield from (f"  {row}" for row in rows[:shown])
        yield from _rest(len(rows), shown)


def _rest(rows: int, shown: int) -> Iterator[str]:
    if rows > shown:
        yield f"  and {rows - shown} more (ALL=1 shows all)"


def _places(rows: pd.DataFrame) -> list[str]:
    """Where estimates are that the other version has not, and how many."""
    settings = rows["factor"].where(rows["factor"] == rows["level"], rows["factor"] + " " + rows["level"])
    places = rows["model"] + ", " + rows["dataset"] + ", " + settings
    return [f"{place}: {count} estimates" for place, count in places.value_counts(sort=False).items()]


def _tables(found: pd.DataFrame, shown: int) -> Iterator[str]:
    """A table for every model and data set; those that moved furthest, by the widths of their intervals."""
    widths = (found["high_a"] - found["low_a"]).fillna(1) + (found["high_b"] - found["low_b"]).fillna(1)
    far = (found["mean_a"] - found["mean_b"]).abs() / widths.clip(lower=TINY)
    chosen = found.loc[far.sort_values(ascending=False, kind="stable").index[:shown]]
    for (model, dataset), rows in chosen.groupby(["model", "dataset"], sort=False):
        yield ""
        yield f"{model}, {dataset}"
        yield from _table([_row(row) for row in rows.to_dict("records")])
    yield from _rest(len(found), shown)


def _row(row: dict[Any, Any]) -> list[str]:
    setting = row["factor"] if row["factor"] == row["level"] else f"{row['factor']} {row['level']}"
    arms = "-".join(filter(None, (row["one"], row["other"])))
    measure = row["measure"] if row["answers"] == "all" else f"{row['measure']} ({row['answers']})"
    values = (_value(*(row[f"{name}_{side}"] for name in VALUES)) for side in "ab")
    return [setting, arms, row["match"], measure, *values]


def _value(mean: float, low: float, high: float) -> str:
    if np.isnan(mean):
        return "none"
    return _number(mean) if np.isnan(low) else f"{_number(mean)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    """Three digits; of noise, which is far smaller, its power of ten."""
    return f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.1e}"


def _table(rows: list[list[str]]) -> Iterator[str]:
    rows = [["setting", "arms", "match", "measure", "A", "B"], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def main() -> None:
    """Run from the command line; one line where a version cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", help="a revision of git: a commit, tag or branch")
    parser.add_argument("b", nargs="?", default="", help="another one; the working tree if left out")
    parser.add_argument("--all", action="store_true", help="all rows, however many")
    asked = parser.parse_args()
    try:
        told = [*lines(Revision(asked.a), Revision(asked.b), sys.maxsize if asked.all else SHOWN)]
    except StudyError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
