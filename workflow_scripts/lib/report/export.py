"""Tables as files: CSV for programs, and LaTeX with booktabs for papers."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workflow_scripts.lib.report.sections import Placed
from workflow_scripts.lib.report.table import Row, Table
from workflow_scripts.lib.report.tidy import Tidy

PLAIN = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": ""})  # for programs: what is not there is nothing
ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
ESCAPED |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
ESCAPED |= {"<": r"\textless{}", ">": r"\textgreater{}", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--"}
SPECIAL = re.compile("|".join(map(re.escape, ESCAPED)))


def write_tables(tables: Sequence[Placed], rows: Mapping[str, Tidy], folder: Path) -> None:
    """NAME.csv and NAME.tex of every table of the page, and figures-NAME.csv of what figures are drawn from."""
    for _, name, table in tables:
        _write_csv(folder / f"{name}.csv", _lines(table))
        (folder / f"{name}.tex").write_text(latex(table), encoding="utf-8")
    for name, tidy in rows.items():
        if tidy.rows:
            _write_csv(folder / f"figures-{name}.csv", [[*tidy.keys, *tidy.numbers], *tidy.rows])


def _write_csv(path: Path, lines: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)  # type: ignore[arg-type]


def whole_rows(table: Table) -> Iterator[tuple[list[str], Row]]:
    """Rows with all of their heads: those that an earlier row's head covers too."""
    heads: list[str] = []
    for row in table.rows:
        kept = len(table.heads) - len(row.heads)
        heads = heads[:kept] + [f"{head.text} ({head.beneath})" if head.beneath else head.text for head in row.heads]
        yield heads, row


def _lines(table: Table) -> Iterator[list[str]]:
    """A heading, and rows: every column is followed by one of what stands beneath its values, where anything does."""
    columns = [f"{group}: {one}" for group, some in table.groups for one in some]
    beneath = [any(row.cells[i].beneath for row in table.rows) for i in range(len(columns))]
    told = [[name, f"{name}: interval"] if also else [name] for name, also in zip(columns, beneath, strict=True)]
    yield [*table.heads, *(name for some in told for name in some)]
    for heads, row in whole_rows(table):
        cells = [
            [text.translate(PLAIN) for text in ([cell.value, "; ".join(cell.beneath)] if also else [cell.value])]
            for cell, also in zip(row.cells, beneath, strict=True)
        ]
        yield [*heads, *(text for some in cells for text in some)]


def latex(table: Table) -> str:
    """The table as a `tabular` with booktabs' rules; intervals stand in brackets under the values."""
    columns = [one for _, some in table.groups for one in some]
    left = "l" * len(table.heads)
    groups, rules, at = [], [], len(table.heads) + 1
    for group, some in table.groups:
        groups.append(rf"\multicolumn{{{len(some)}}}{{c}}{{{escaped(group)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + len(some) - 1}}}")
        at += len(some)
    lines = [
        f"% {table.caption}",
        "% needs \\usepackage{booktabs}",
        rf"\begin{{tabular}}{{{left}{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join([""] * len(table.heads) + groups)[1:] + r" \\" if groups else "",
        " ".join(rules),
        " & ".join(escaped(name) for name in (*table.heads, *columns)) + r" \\",
        r"\midrule",
        *_latex_rows(table),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _latex_rows(table: Table) -> Iterator[str]:
    before: list[str] = []
    for heads, row in whole_rows(table):
        shown = [escaped(head) if heads[: n + 1] != before[: n + 1] else "" for n, head in enumerate(heads)]
        yield " & ".join([*shown, *(escaped(cell.value) for cell in row.cells)]) + r" \\"
        if any(cell.beneath for cell in row.cells):
            small = [rf"{{\scriptsize [{escaped('; '.join(c.beneath))}]}}" if c.beneath else "" for c in row.cells]
            yield " & ".join([""] * len(heads) + small)[1:] + r" \\"
        before = heads


def escaped(text: str) -> str:
    """Text as LaTeX shows it; what Unicode has beyond it is left to XeLaTeX or LuaLaTeX."""
    return SPECIAL.sub(lambda found: ESCAPED[found[0]], text)
