"""The study in few numbers, for `dvc metrics` and `dvc plots`."""

from collections.abc import Iterator
from typing import Any

from workflow_scripts.lib.results import CONDITIONS, PAIRS, Results, Setting

DIGITS = 6
SIGNIFICANT = 3  # of noise, which is small


def metrics_of(results: Results) -> dict[str, Any]:
    """Model -> data set -> what metrics.json says, at the reference setting and the last layer."""
    metrics: dict[str, Any] = {}
    for model, dataset in results.cells():
        metrics.setdefault(model, {})[dataset] = _cell_metrics(results, model, dataset)
    return metrics


def _cell_metrics(results: Results, model: str, dataset: str) -> dict[str, Any]:
    def mean(measure: str, pair: str = "icl-it") -> float | None:
        return _rounded(results.at(model, dataset, measure, pair).mean)

    return {
        "at": results.setting(model, dataset)._asdict() | {"layer": results.layers(model, dataset)[-1]},
        "cosine": {pair.replace("-", "_"): mean("cosine", pair) for pair in PAIRS},
        **{measure: mean(measure) for measure in ("margin", "update_cosine", "partial_cosine", "agreement")},
        "movement": {arm: mean("movement", f"anchor-{arm}") for arm in ("icl", "it")},
        "noise": {
            pair.replace("-", "_"): _significant(results.at(model, dataset, "noise", pair).mean) for pair in PAIRS
        },
        **{name: {c: mean(name, c) for c in CONDITIONS} for name in ("accuracy", "open_accuracy")},
        "adapters_not_moved": results.adapters_not_moved(model, dataset),
        "draws": results.at(model, dataset, "moved", "it").draws,
    }


LAYERS_HEADER = ["model", "dataset", "pair", "layer", "cosine", "noise"]
LEVELS_HEADER = ["factor", "level", "model", "dataset", "measure", "of", "mean", "noise"]


def over_layers(results: Results) -> Iterator[list[Any]]:
    """Cosine and noise of every pair at every layer, at the reference setting: the rows of layers.csv."""
    for model, dataset in results.cells():
        for pair in PAIRS:
            for layer in results.layers(model, dataset):
                cosine = results.at(model, dataset, "cosine", pair, layer=layer).mean
                noise = results.at(model, dataset, "noise", pair, layer=layer).mean
                yield [model, dataset, pair, layer, _rounded(cosine), _significant(noise)]


def over_levels(results: Results) -> Iterator[list[Any]]:
    """Cosine and noise of every pair and accuracy of every condition at every level, last layer: rows of levels.csv."""
    measured = [("cosine", pair) for pair in PAIRS] + [("accuracy", condition) for condition in CONDITIONS]
    for factor in results.factors:
        for model, dataset in results.cells():
            for level in results.levels(model, dataset, factor):
                setting = Setting(factor, level)
                for measure, of in measured:
                    mean = results.at(model, dataset, measure, of, setting=setting).mean
                    noise = results.at(model, dataset, "noise", of, setting=setting).mean  # a condition has none
                    yield [factor, level, model, dataset, measure, of, _rounded(mean), _significant(noise)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _significant(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{SIGNIFICANT}g}")
