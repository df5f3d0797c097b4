"""What each figure shows, in one sentence worked out from its rows: alternative text, and the head of a caption."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workflow_scripts.lib.arms import QUESTION
from workflow_scripts.lib.measures import HEADLINE, HOW_WELL
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.parts import INTERACTION, SET, WHOLE
from workflow_scripts.lib.patching.measures import HOW_WELL as PATCHED_HOW_WELL
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.report.cases import ICL_IT
from workflow_scripts.lib.report.wording import PART_SHORT, begun, listed, number

Rows = Sequence[Mapping[str, Any]]
WELL = [measure.heading for measure in (*HOW_WELL, *PATCHED_HOW_WELL)]
FEW = 3  # data sets that a sentence names
WORDS = PART_SHORT | {WHOLE: "the whole"} | {patch.name: patch.heading for patch in PATCHES}


def span(values: Sequence[float]) -> str:
    """`.38`, or `.38 to .71` from the smallest to the largest."""
    ends = dict.fromkeys(number(end, 2) for end in (min(values), max(values)))
    return " to ".join(ends)


def _of(rows: Rows, **keys: Any) -> list[float]:
    return [row["mean"] for row in rows if all(row.get(key) == value for key, value in keys.items())]


def controlled(rows: Rows) -> str:
    """The similarity beside another draw's: what every figure with contrasts says."""
    last = [row for row in rows if row.get("above", 0) == 0]
    own, other = _of(last, match=OWN.name), _of(last, match=OTHER_DRAW.name)
    if not own:
        return ""
    beside = f", {span(other)} with another draw's set" if other else ""
    return f"{span(own)} with its own set{beside}{_apart(last)}."


def _apart(rows: Rows) -> str:
    effects = [row for row in rows if row["match"] == OWN_DEMONSTRATION_EFFECT.name]
    if not effects or any(row["low"] is None for row in effects):
        return ""
    above = [row["dataset"] for row in effects if row["low"] > 0]
    where = listed(above) if len(above) <= FEW else f"{len(above)} of {len(effects)}"
    return f"; the difference is above zero on {where if above else 'none'}"


def overview(rows: Rows) -> str:
    """Of the first model: the whole, how much of it is the set's own, and its control."""
    model = rows[0]["model"]
    rows = [row for row in rows if row["model"] == model]
    pooled = _of(rows, match=WHOLE)
    theirs = [
        sum(row["mean"] for row in rows if row["dataset"] == name and row["match"] in (SET, INTERACTION))
        for name in dict.fromkeys(row["dataset"] for row in rows if row["match"] == INTERACTION)
    ]
    told = controlled([row for row in rows if row["measure"] == HEADLINE.heading and row["of"] == ICL_IT])
    parts = f"{model}: pooled similarity {span(pooled)}" if pooled else ""
    if pooled and theirs:
        parts += f", of which {span(theirs)} is these demonstrations' own"
    return " ".join(filter(None, [f"{parts}." if parts else "", told[:1].upper() + told[1:]]))


def ends(rows: Rows, key: str = "of") -> str:
    """At the last layer, each line's value, over the data sets shown."""
    last = [row for row in rows if row.get("above", 0) == 0]
    names = list(dict.fromkeys(row[key] for row in last))
    told = [f"{WORDS.get(name, name)} {span(_of(last, **{key: name}))}" for name in names]
    return f"At the last layer {listed(told)}." if told else ""


def each(rows: Rows, key: str = "of") -> str:
    """Each row's value, own set and query, over the data sets shown."""
    own = [row for row in rows if row.get("match", OWN.name) == OWN.name]
    own = [row for row in own if row["measure"] == own[0]["measure"]]
    told = [f"{name} {span(_of(own, **{key: name}))}" for name in dict.fromkeys(row[key] for row in own)]
    return f"{listed(told)}." if told else ""


def changes(rows: Rows) -> str:
    """The levels at which the similarity changes beyond its interval."""
    own = [row for row in rows if row["match"] == OWN.name and row["low"] is not None]
    found = [row for row in own if row["low"] > 0 or row["high"] < 0]
    levels = dict.fromkeys(row["level"] for row in found)
    if not own:
        return "No interval: nothing is said to change." if rows else ""
    told = [f"{level} ({span(_of(found, level=level))})" for level in levels]
    return (
        f"Beyond its interval it changes at {listed(told)}."
        if told
        else "At no level does it change beyond its interval."
    )


def along(rows: Rows) -> str:
    """The step at which similarity is largest."""
    own = [row for row in rows if row["match"] == OWN.name and row["measure"] == HEADLINE.heading]
    if not own:
        return ""
    best = [
        max((r for r in own if r["dataset"] == d), key=lambda r: r["mean"])
        for d in dict.fromkeys(r["dataset"] for r in own)
    ]
    told = [f"{row['dataset']} {number(row['mean'], 2)} after {row['level']} steps" for row in best[:FEW]]
    return f"{QUESTION[1].heading} is most like {QUESTION[0].heading} on {listed(told)}."


def fallen(rows: Rows) -> str:
    """From where to where losses went."""
    last = max(row["step"] for row in rows)
    first, end = ([row["mean"] for row in rows if row["step"] == step] for step in (0, last))
    return f"Losses went from {span(first)} to {span(end)} in {last} steps."


def well(says: Callable[[Rows], str]) -> Callable[[Rows], str]:
    """The sentence of each kind of answers, where a study has labels and free text: the two have no common scale."""

    def told(rows: Rows) -> str:
        kinds = {heading: [row for row in rows if row["measure"] == heading] for heading in WELL}
        found = {heading: some for heading, some in kinds.items() if some}
        if len(found) < 2:
            return says(rows)
        return " ".join(f"{begun(heading)}: {says(some)}" for heading, some in found.items())

    return told


SAYS: Mapping[str, Callable[[Rows], str]] = {
    "overview": overview,
    "parts-over-layers": lambda rows: ends(rows, "match"),
    "similarity-over-layers": lambda rows: _begun(controlled(rows)),
    "anchor-over-layers": ends,
    "path": along,
    "arms": each,
    "patched": well(lambda rows: ends(rows, "match")),
    "answers": well(each),
    "losses": fallen,
}


def _begun(text: str) -> str:
    return f"At the last layer {text}" if text else ""


def says(name: str, rows: Rows) -> str:
    """The sentence of a figure; of a factor's, what its levels change or how often arms are right."""
    if not rows:
        return "Not measured."
    fallback = each if name.endswith(tuple(measure.name for measure in HOW_WELL)) else changes
    return SAYS.get(name, fallback)(rows)
