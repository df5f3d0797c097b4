"""The study's results: every estimate by its keys, at the reference and the last layer unless asked otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.artifacts.tables import ArtifactError, read_table
from workflow_scripts.lib.measures import MOVED, MOVEMENT, NOISE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import OWN
from workflow_scripts.lib.measures.parts import PARTS
from workflow_scripts.lib.results.estimates import ALL, REFERENCE, Estimate, Part, Rows

OF_UPDATES = [measure.name for measure in SIMILARITIES if measure.of_updates]
AGAINST_ANCHOR = [MOVEMENT.name, *(measure.name for measure in SIMILARITIES if not measure.of_updates)]

SETTING = ["model", "dataset", "factor", "level"]


class Results:
    """Look-up of the study's three tables. What was not measured is `ABSENT`, so that a study may choose its measures.

    Args:
        similarity: every estimate
        parts: of the update similarity
        effects: of levels against the reference
        levels: factor -> all its levels in order, the reference's too
        reference: factor -> its level at the reference setting
    """

    def __init__(
        self,
        similarity: pa.Table,
        parts: pa.Table,
        effects: pa.Table,
        *,
        levels: Mapping[str, Sequence[str]],
        reference: Mapping[str, str],
    ) -> None:
        self.reference = reference
        self._all_levels = levels
        self._similarity = Rows(similarity, [*SETTING, "layer", "one", "other", "match", "measure", "answers"])
        self._effects = Rows(effects, [*SETTING, "one", "other", "match", "measure"])
        self._parts = Rows(parts, [*SETTING, "layer", "one", "other", "part"])
        self._settings: set[tuple[str, str, str, str]] = set()
        self._of_answers: set[str] = set()
        self._layers: dict[tuple[str, str], set[int]] = {}
        self._arms: dict[tuple[str, str, str, str | None], dict[tuple[str, str | None], None]] = {}
        for key in self._similarity.places:
            self._note(key)
        self.models = list(dict.fromkeys(model for model, _ in self._layers))
        self.datasets = list(dict.fromkeys(dataset for _, dataset in self._layers))
        varied = {factor for _, _, factor, _ in self._settings}
        self.factors = [factor for factor in levels if factor in varied]

    def _note(self, key: tuple[Any, ...]) -> None:
        model, dataset, factor, level, layer, one, other, match, measure, _ = key
        self._settings.add((model, dataset, factor, level))
        self._layers.setdefault((model, dataset), set()).update([] if layer is None else [layer])
        if layer is None:
            self._of_answers.add(measure)
        if factor == REFERENCE:
            self._arms.setdefault((model, dataset, measure, match), {})[one, other] = None

    def cells(self) -> Iterator[tuple[str, str]]:
        """Each (model, data set) that was measured, models first."""
        for model in self.models:
            yield from ((model, dataset) for dataset in self.datasets if (model, dataset) in self._layers)

    def layers(self, model: str, dataset: str) -> list[int]:
        """Layers that were compared, from the first, mostly 0, the embeddings, to the model's last."""
        return sorted(self._layers[model, dataset]) or [0]

    def _last(self, model: str, dataset: str) -> int | None:
        return self.layers(model, dataset)[-1] if (model, dataset) in self._layers else None

    def levels(self, model: str, dataset: str, factor: str) -> list[str]:
        """Levels of a factor in the study's order, the reference's at its place; none where it was not varied."""
        cell = model, dataset
        if not any(key[:3] == (*cell, factor) for key in self._settings):
            return []
        return [level for level in self._all_levels[factor] if self._setting(*cell, factor, level) in self._settings]

    def every_level(self, factor: str) -> list[str]:
        """All levels of a factor in the study's order, the reference's too."""
        return list(self._all_levels.get(factor, []))

    def _setting(self, model: str, dataset: str, factor: str | None, level: str | None) -> tuple[str, str, str, str]:
        """Where a setting's estimates stand: the reference's own, where nothing else is said.

        A factor whose levels are of fewer queries has the reference's among them, of those queries.
        """
        if factor is None or level is None:
            return model, dataset, REFERENCE, REFERENCE
        setting = model, dataset, factor, level
        at_reference = self.reference.get(factor) == level and setting not in self._settings
        return (model, dataset, REFERENCE, REFERENCE) if at_reference else setting

    def arms_of(self, model: str, dataset: str, measure: str, *, match: str = OWN.name) -> list[tuple[str, str | None]]:
        """Arms, alone or two together, that have a measure at the reference setting; in the study's order."""
        found = {matched: self._arms.get((model, dataset, measure, matched), {}) for matched in (None, match)}
        return [*found[None], *found[match]]

    def at(
        self,
        model: str,
        dataset: str,
        measure: str,
        one: str,
        other: str | None = None,
        *,
        match: str = OWN.name,
        factor: str | None = None,
        level: str | None = None,
        layer: int | None = None,
        answers: str = ALL,
    ) -> Estimate:
        """An estimate of one arm, or of two matched as a contrast says; `match` may name a difference of contrasts.

        `one` stands before `other` in the list of arms. Measures of answers have no layer, whatever is asked.
        """
        if measure in self._of_answers:
            layer = None
        elif layer is None:
            layer = self._last(model, dataset)
        setting = self._setting(model, dataset, factor, level)
        matched = None if other is None else match
        return self._similarity.estimate((*setting, layer, one, other, matched, measure, answers))

    def parts(
        self,
        model: str,
        dataset: str,
        one: str,
        other: str,
        *,
        factor: str | None = None,
        level: str | None = None,
        layer: int | None = None,
    ) -> dict[str, Part]:
        """Name -> part of two arms' update similarity, the whole last; none where it was not measured."""
        where = layer if layer is not None else self._last(model, dataset)
        setting = self._setting(model, dataset, factor, level)
        found = {name: (*setting, where, one, other, name) for name in PARTS}
        return {
            name: Part(*(self._parts.estimate(key, field) for field in Part._fields))
            for name, key in found.items()
            if key in self._parts.places
        }

    def effect(
        self,
        model: str,
        dataset: str,
        factor: str,
        level: str,
        measure: str,
        one: str,
        other: str | None = None,
        *,
        match: str = OWN.name,
    ) -> Estimate:
        """A level less the reference, paired by draw, at the last layer; the reference's own level has none."""
        matched = None if other is None else match
        return self._effects.estimate((model, dataset, factor, level, one, other, matched, measure))

    def within_noise(self, model: str, dataset: str, measure: str, one: str, other: str | None = None) -> bool:
        """Is an estimate at the reference setting and the last layer one that noise alone would give.

        Of two updates: their similarity is not larger than that of the noise that both have in them. Of an arm against
        the anchor: its update is not longer than the noise.
        """
        value = self.at(model, dataset, measure, one, other).mean
        if measure in OF_UPDATES:
            noise = self.at(model, dataset, NOISE.name, one, other).mean
            return value is not None and noise is not None and abs(value) <= noise
        moved = other if one == ANCHOR.name else one if measure == MOVEMENT.name else None
        noise = None if moved is None else self.at(model, dataset, NOISE.name, moved).mean
        return value is not None and noise is not None and noise >= 1 and measure in AGAINST_ANCHOR

    def adapters_not_moved(self, model: str, dataset: str) -> int:
        """How many adapters of the question's arms did not move, or their loss did not fall."""
        moved = [self.at(model, dataset, MOVED.name, arm.name) for arm in QUESTION]
        return sum(round((1 - (one.mean or 0)) * one.draws) for one in moved)


def read_results(
    similarity: Path,
    parts: Path,
    effects: Path,
    *,
    levels: Mapping[str, Sequence[str]],
    reference: Mapping[str, str],
) -> Results:
    """The results that aggregate_similarity wrote; ArtifactError where a file is missing or damaged, or has no rows."""
    tables = [read_table(path) for path in (similarity, parts, effects)]
    if not tables[0].num_rows:
        raise ArtifactError(f"{similarity} holds no estimates; delete it and aggregate the study again")
    return Results(*tables, levels=levels, reference=reference)
