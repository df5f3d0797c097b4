"""The study in few numbers, for `dvc metrics` and `dvc plots`."""

from collections.abc import Iterator
from typing import Any

from workflow_scripts.lib.results import CONDITIONS, PAIRS, Results, Setting

DIGITS = 6


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
        **{name: {c: mean(name, c) for c in CONDITIONS} for name in ("accuracy", "open_accuracy")},
        "adapters_not_moved": results.adapters_not_moved(model, dataset),
        "draws": results.at(model, dataset, "moved", "it").draws,
    }


def over_layers(results: Results) -> Iterator[list[Any]]:
    """Series, layer, cosine at the reference setting: a row of layers.csv each."""
    for model, dataset in results.cells():
        for pair in PAIRS:
            for layer in results.layers(model, dataset):
                mean = results.at(model, dataset, "cosine", pair, layer=layer).mean
                yield [f"{model} / {dataset} / {pair}", layer, _rounded(mean)]


def over_levels(results: Results) -> Iterator[list[Any]]:
    """Factor, level, series, then cosine (of a pair) or accuracy (of a condition): a row of levels.csv each."""
    for factor in results.factors:
        for model, dataset in results.cells():
            for level in results.levels(model, dataset, factor):
                at, series = Setting(factor, level), f"{model} / {dataset} /"
                for pair in PAIRS:
                    cosine = results.at(model, dataset, "cosine", pair, setting=at).mean
                    yield [*at, f"{series} {pair}", _rounded(cosine), None]
                for name in CONDITIONS:
                    accuracy = results.at(model, dataset, "accuracy", name, setting=at).mean
                    yield [*at, f"{series} {name}", None, _rounded(accuracy)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
