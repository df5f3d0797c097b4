"""Read a data set, remove what pool and queries share, cut both to size."""

from pathlib import Path

from workflow_scripts.lib.command import command
from workflow_scripts.lib.datasets import label_words, prepare
from workflow_scripts.lib.examples import Examples, write_examples
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.provenance import origin
from workflow_scripts.lib.readers import DataError
from workflow_scripts.lib.sources import HubDataset, LocalDataset, WorldDataset


def prepare_dataset(
    *,
    dataset: str,
    source: WorldDataset | LocalDataset | HubDataset,
    pool: int | None,
    queries: int,
    seed: int,
    examples: Path,
) -> None:
    """Write `examples`: a row per example with id, split (pool, query), text fields, label index and label word.

    Args:
        dataset: Name of the data set in params.yaml.
        source: Where it comes from, as params.yaml says.
        pool: Candidate demonstrations to keep; null keeps all.
        queries: Queries to keep; fewer different ones are an error.
        seed: Seed of the study.
        examples: Parquet file to write.
    """
    try:
        prepared = prepare(source, pool=pool, queries=queries, key=f"{seed}/{dataset}")
    except DataError as error:
        raise DataError(f"datasets.{dataset}: {error}") from None
    words = label_words(source)
    log(f"{dataset}: {len(prepared.pool)} in the pool, {len(prepared.queries)} queries, removed {prepared.removed}")
    write_examples(
        Examples(prepared.pool, prepared.queries, words),
        examples,
        origin("prepare_dataset", ("pyarrow",), dataset=dataset, source=source, seed=seed, removed=prepared.removed),
    )


if __name__ == "__main__":
    command(prepare_dataset)
