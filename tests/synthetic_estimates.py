"""The tables that aggregate_similarity writes, made by hand: every estimate is what a test says it is."""

from itertools import combinations, product
from pathlib import Path

import pyarrow as pa

from tests.synthetic_cells import of_labels
from workflow_scripts.lib.arms import ANCHOR, CHOOSABLE, ICL, IT
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.tables import write_table
from workflow_scripts.lib.measures import (
    ACCORDS,
    ACCURACY,
    BEHAVIOURS,
    CHANGES,
    COSINE,
    MARGIN,
    MOVED,
    NOISE,
    SIMILARITIES,
)
from workflow_scripts.lib.measures.contrasts import (
    CONTRASTS,
    DIFFERENCES,
    OTHER_DRAW,
    OTHER_LABEL,
    OWN,
    RANDOM,
    SAME_LABEL,
)
from workflow_scripts.lib.measures.parts import GENERAL, INTERACTION, QUERY, SET, WHOLE
from workflow_scripts.lib.patching.measures import AGREEMENT as PATCHED_AGREEMENT
from workflow_scripts.lib.patching.measures import PATCH_MEASURES, Predicted
from workflow_scripts.lib.patching.patches import OTHER_DRAW_DIRECTION, PATCH_DIFFERENCES, PATCHES
from workflow_scripts.lib.results import parts as parts_room
from workflow_scripts.lib.results.results import REFERENCE, Results
from workflow_scripts.lib.results.tables import EFFECTS, SIMILARITY

LEVELS = {"shots": ["1", "8", "16"], "labels": ["gold", "flipped"]}
STUDY = {"levels": LEVELS, "reference": {"shots": "8", "labels": "gold"}}
LAYERS = 4
ALIKE = {"own": 0.6, "other_draw": 0.5, "other_query": 0.3}  # its own demonstrations count
OF_TASK = {"own": 0.5, "other_draw": 0.5, "other_query": 0.3}
APART = {"own": 0.0, "other_draw": 0.0, "other_query": 0.0}
COSINES = {(ANCHOR.name, ICL.name): 0.4, (ANCHOR.name, IT.name): 0.3, (ICL.name, IT.name): 0.8}


class Made:
    """Rows of a case's three tables; a test may change them before they are written."""

    def __init__(self, model="pocket", dataset="reviews", **settings):
        self.names = {"model": model, "dataset": dataset}
        self.similarity, self.parts, self.effects = [], [], []
        self.fill(**settings)

    def fill(
        self,
        *,
        own=0.5,
        other_draw=0.5,
        other_query=0.3,
        cosines=COSINES,
        accuracies=(0.5, 0.9, 0.85),
        spread=0.02,
        draws=10,
        noise=2e-6,
        still=0,
        levels=LEVELS,
    ):
        self.spread, self.draws = spread, draws
        matched = {
            OWN: own,
            OTHER_DRAW: other_draw,
            SAME_LABEL: other_query + 0.02,
            OTHER_LABEL: other_query,
            RANDOM: 0.0,
        }
        settings = [(REFERENCE, REFERENCE)]
        settings += [(f, level) for f, some in levels.items() for level in some if STUDY["reference"][f] != level]
        for self.at in settings:
            for layer in range(LAYERS + 1):
                self._states(layer, layer / LAYERS, matched, cosines, noise)
                self._parts(layer, own, other_draw, other_query)
                if self.at[0] == REFERENCE:
                    self._patched(layer, accuracies, own, other_draw)
            self._answers(accuracies, still)
        for factor, level in settings[1:]:
            self._effects(factor, level, matched)
        return self

    def _states(self, layer, share, matched, cosines, noise):
        for measure, (one, other) in product(SIMILARITIES, combinations(self._arms(), 2)):
            of_anchor = one == ANCHOR.name
            if of_anchor and measure.of_updates:
                continue
            for contrast in CONTRASTS:
                if (contrast.by_query and not measure.by_query) or (of_anchor and contrast.of_updates):
                    continue
                value = matched[contrast]
                if measure is COSINE:
                    value = cosines.get((one, other), 0.95) + value - matched[OWN]
                self.add(layer, one, other, contrast.name, measure.name, share * value)
            if measure.by_query and not of_anchor:
                for which, value in (("same", matched[OWN] + 0.05), ("different", matched[OWN] - 0.05)):
                    self.add(layer, one, other, OWN.name, measure.name, share * value, answers=which, queries=500)
            for one_ in DIFFERENCES:
                if measure.by_query or not one_.less.by_query:
                    value = share * (matched[one_.of] - matched[one_.less])
                    self.add(layer, one, other, one_.name, measure.name, value, p=0.004 if value else 1.0)
        given = [arm for arm in self._arms() if arm != ANCHOR.name]
        for arm in given:
            for change in CHANGES:
                self.add(layer, arm, None, None, change.name, share * 0.7)
            self.add(layer, arm, None, None, NOISE.name, noise)
        for one, other in combinations(given, 2):
            self.add(layer, one, other, OWN.name, NOISE.name, min(noise**2, 1))
        icl_it = cosines[ICL.name, IT.name]
        margin = share * (icl_it - max(value for arms, value in cosines.items() if ANCHOR.name in arms))
        self.add(layer, ICL.name, IT.name, OWN.name, MARGIN.name, margin, p=0.002)

    def _parts(self, layer, own, other_draw, other_query):
        general = other_query * 0.9
        values = {GENERAL: general, QUERY: other_draw - general, SET: (own - other_draw) / 4}
        values |= {INTERACTION: (own - other_draw) * 3 / 4, WHOLE: own}
        for part, value in values.items():
            known = value if self.draws > 1 or part == WHOLE else None
            row = {"layer": layer, "one": ICL.name, "other": IT.name, "part": part, "draws": self.draws}
            for name, mean in (
                ("contribution", known),
                ("alignment", known),
                ("share_one", 0.25),
                ("share_other", 0.25),
            ):
                row |= {
                    f"{name}{end}": number for end, number in zip(("", "_low", "_high"), self.ends(mean), strict=True)
                }
            self.parts.append({**self.names, "factor": self.at[0], "level": self.at[1], **row})

    def _patched(self, layer, accuracies, own, other_draw):
        """The arm's accuracy is reached with the layers; own sets are above other draws' as far as in updates."""
        share = layer / LAYERS
        of_labels = [measure for measure in PATCH_MEASURES if measure.kind is Predicted]
        for arm, (measure, patch) in product((ICL.name, IT.name), product(of_labels, PATCHES)):
            value = accuracies[0] + share * (accuracies[1] - accuracies[0])
            value -= share * (own - other_draw) * (patch is OTHER_DRAW_DIRECTION)
            self.add(layer, ANCHOR.name, arm, patch.name, measure.name, value)
        for arm, difference in product((ICL.name, IT.name), PATCH_DIFFERENCES):
            value = share * (own - other_draw)
            self.add(layer, ANCHOR.name, arm, difference.name, PATCHED_AGREEMENT.name, value, p=0.004 if value else 1.0)

    def _answers(self, accuracies, still):
        right = dict(zip((ANCHOR.name, ICL.name, IT.name), accuracies, strict=True))
        for arm in self._arms():
            for measure in of_labels(BEHAVIOURS):
                if not (arm == ANCHOR.name and measure.of_updates):
                    value = right.get(arm, 0.8) - (0 if measure is ACCURACY else 0.05)
                    self.add(None, arm, None, None, measure.name, value, sets=arm != ANCHOR.name)
        for measure, (one, other) in product(of_labels(ACCORDS), combinations(self._arms(), 2)):
            if not (one == ANCHOR.name and measure.of_updates):
                self.add(None, one, other, OWN.name, measure.name, 0.7)
        self.add(None, IT.name, None, None, MOVED.name, 1 - still / self.draws, queries=0)

    def _effects(self, factor, level, matched):
        def add(one, other, match, measure, value):
            keys = {"factor": factor, "level": level, "layer": None, "one": one, "other": other, "match": match}
            mean, low, high = self.ends(value)
            numbers = {"mean": mean, "low": low, "high": high, "p": 0.01, "p_holm": 0.02, "draws": self.draws}
            self.effects.append({**self.names, **keys, "measure": measure, **numbers})

        for measure in SIMILARITIES:
            for match in (*matched, *DIFFERENCES):
                add(ICL.name, IT.name, match.name, measure.name, -0.1)
        for arm in (ICL.name, IT.name):
            add(arm, None, None, ACCURACY.name, -0.2)

    def _arms(self):
        return [arm.name for arm in CHOOSABLE if arm.everywhere or self.at[0] == REFERENCE]

    def add(self, layer, one, other, match, measure, value, *, answers="all", p=None, queries=1000, sets=True):
        known = value if self.draws > 1 or match not in (OTHER_DRAW.name, DIFFERENCES[0].name) else None
        mean, low, high = self.ends(known)
        keys = {"factor": self.at[0], "level": self.at[1], "layer": layer, "one": one, "other": other, "match": match}
        numbers = {"mean": mean, "low": low, "high": high} if sets else {"mean": mean, "low": None, "high": None}
        bands = {"band_low": low, "band_high": high} if layer is not None else {}
        counts = {"draws": self.draws, "queries": queries, "excluded": 0}
        self.similarity.append(
            {**self.names, **keys, "measure": measure, "answers": answers, **numbers, **bands, **counts, "p": p}
        )

    def ends(self, mean):
        """A mean and the ends of its interval; none with one draw."""
        if mean is None or self.draws == 1:
            return mean, None, None
        return mean, mean - self.spread, mean + self.spread

    def change(self, change, **keys):
        """Change the rows of `similarity` that have these keys."""
        rows = [row for row in self.similarity if all(row[key] == value for key, value in keys.items())]
        assert rows, keys
        for row in rows:
            row.update(change)
        return self

    def without(self, *, measures=(), matches=()):
        """Take rows away, as of a study that does not measure them."""
        self.similarity = [
            row for row in self.similarity if row["measure"] not in measures and row["match"] not in matches
        ]
        return self

    def without_patches(self):
        """As of a study whose model cannot be patched."""
        return self.without(measures=[measure.name for measure in PATCH_MEASURES])


def tables_of(cases):
    """The three tables, by the names of render_report's flags."""
    return {
        name: pa.Table.from_pylist(
            [{key: row.get(key) for key in schema.names} for case in cases for row in getattr(case, name)],
            schema=schema,
        )
        for name, schema in (("similarity", SIMILARITY), ("parts", parts_room.SCHEMA), ("effects", EFFECTS))
    }


def results_of(*cases):
    """The cases as the report looks them up."""
    return Results(**tables_of(cases), **STUDY)


def write_estimates(folder: Path, cases):
    """Write the three tables; gives their paths by the names of render_report's flags."""
    made = origin(**STUDY, settings={"confidence": 0.95, "resamples": 200}, seed=0)
    tables = tables_of(cases)
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        write_table(table, paths[name], made)
    return paths
