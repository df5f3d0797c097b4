"""The study's results: every estimate by its keys, and which of them are at the reference setting."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

PAIRS = ("anchor-icl", "anchor-it", "icl-it")
CONDITIONS = ("anchor", "icl", "it")
DIRECTIONS = ("update_cosine", "partial_cosine")
ON_ANSWERS = ("accuracy", "open_accuracy", "agreement", "moved")


class Setting(NamedTuple):
    """A factor at one of its levels."""

    factor: str
    level: str


class Estimate(NamedTuple):
    """Mean over draws and its interval; None where there is none (one draw, or nothing could be measured)."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    draws: int = 0
    queries: int = 0
    excluded: int = 0


ABSENT = Estimate()


class Results:
    """Look-up of similarity.parquet. What was not measured is `ABSENT`, so that a study may choose its measures."""

    def __init__(self, table: pa.Table, reference: Mapping[str, str]) -> None:
        self.reference = reference
        self._estimates: dict[tuple[Any, ...], Estimate] = {}
        self._levels: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._layers: dict[tuple[str, str], int] = {}
        for row in table.to_pylist():
            self._add(row)
        self.models = list(dict.fromkeys(model for model, _ in self._levels))
        self.datasets = list(dict.fromkeys(dataset for _, dataset in self._levels))
        self.factors = list(dict.fromkeys(factor for levels in self._levels.values() for factor in levels))

    def _add(self, row: dict[str, Any]) -> None:
        cell = row["model"], row["dataset"]
        keys = (*cell, row["factor"], row["level"], row["layer"], row["pair"], row["measure"])
        self._estimates[keys] = Estimate(**{name: row[name] for name in Estimate._fields})
        levels = self._levels.setdefault(cell, {}).setdefault(row["factor"], [])
        if row["level"] not in levels:
            levels.append(row["level"])
        self._layers[cell] = max(self._layers.get(cell, 0), row["layer"] or 0)

    def cells(self) -> Iterator[tuple[str, str]]:
        """Each (model, dataset) that was measured, models first."""
        for model in self.models:
            yield from ((model, dataset) for dataset in self.datasets if (model, dataset) in self._levels)

    def levels(self, model: str, dataset: str, factor: str) -> list[str]:
        """Levels of a factor in the study's order; none where the factor was not varied."""
        return self._levels.get((model, dataset), {}).get(factor, [])

    def layers(self, model: str, dataset: str) -> range:
        """Layers of the model: 0, the embeddings, to the last."""
        return range(self._layers[model, dataset] + 1)

    def setting(self, model: str, dataset: str) -> Setting:
        """The reference setting: the first factor that has its reference level, else the first factor's last level."""
        levels = self._levels[model, dataset]
        for factor, names in levels.items():
            if self.reference.get(factor) in names:
                return Setting(factor, self.reference[factor])
        factor = next(iter(levels))
        return Setting(factor, levels[factor][-1])

    def at(
        self,
        model: str,
        dataset: str,
        measure: str,
        pair: str,
        *,
        setting: Setting | None = None,
        layer: int | None = None,
    ) -> Estimate:
        """An estimate, at the reference setting and the last layer unless said otherwise."""
        factor, level = setting or self.setting(model, dataset)
        if measure in ON_ANSWERS:
            layer = None
        elif layer is None:
            layer = self._layers[model, dataset]
        return self._estimates.get((model, dataset, factor, level, layer, pair, measure), ABSENT)

    def within_noise(self, model: str, dataset: str, measure: str, pair: str) -> bool:
        """Is an estimate at the reference setting and the last layer one that noise alone would give.

        Of a direction of change: the cosine is not larger than that of the noise that both updates have in them. Of a
        condition against the anchor: the update is not longer than the noise.
        """
        value, noise = self.at(model, dataset, measure, pair).mean, self.at(model, dataset, "noise", pair).mean
        if value is None or noise is None:
            return False
        if measure in DIRECTIONS:
            return abs(value) <= noise
        return pair.startswith("anchor-") and measure in ("cosine", "movement") and noise >= 1

    def adapters_not_moved(self, model: str, dataset: str) -> int:
        """How many adapters of the reference setting did not move."""
        moved = self.at(model, dataset, "moved", "it")
        return round((1 - (moved.mean or 0)) * moved.draws)
