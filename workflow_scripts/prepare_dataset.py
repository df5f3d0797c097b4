"""Read a data set, remove what pool and queries share, cut both to size."""

from pathlib import Path

from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.examples import write_examples
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import Dataset, PrepareDataset
from workflow_scripts.lib.progress import log


def prepare_dataset(
    *,
    source: Dataset,
    queries: int,
    seed: int,
    settings: PrepareDataset,
    examples: Path,
) -> None:
    """Write `examples`: a row per example with id, split (pool, query), text fields, label index, label word or answer.

    Args:
        source: Where it comes from, as params.yaml says.
        queries: Queries to keep; fewer different ones are an error.
        seed: Seed of the study.
        settings: The block of params.yaml that is called as this stage.
        examples: Parquet file to write, called as the data set is in params.yaml, for errors to name it.
    """
    try:
        prepared = prepare(source, pool=settings.pool, queries=queries, seed=seed)
    except DataError as error:
        raise DataError(f"datasets.{examples.stem}: {error}") from None
    log("\n  ".join([f"{examples.stem}:", *prepared.summary.lines()]))
    became = {"read": prepared.summary.read, "removed": prepared.summary.removed}
    write_examples(prepared.examples, examples, origin(source=source, seed=seed, **became))


if __name__ == "__main__":
    command(prepare_dataset)
