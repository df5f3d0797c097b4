"""Draw the demonstrations of every level of a factor."""

from pathlib import Path

from workflow_scripts.lib.command import command
from workflow_scripts.lib.demonstrations import PoolError, sample_draws, write_draws
from workflow_scripts.lib.examples import read_examples
from workflow_scripts.lib.provenance import origin


def sample_demonstrations(
    examples: Path,
    *,
    dataset: str,
    factor: str,
    levels: list[int | str],
    reference: dict[str, int | str],
    draws: int,
    balanced: bool,
    seed: int,
    demonstrations: Path,
) -> None:
    """Write `demonstrations`: a row per demonstration of every (level, draw), in prompt order, as it is shown.

    Args:
        examples: Prepared data set.
        dataset: Its name; part of every draw's seed.
        factor: What varies: shots or labels.
        levels: Its levels.
        reference: The setting around which it varies: shots and labels.
        draws: Draws per level; draw n of one level and draw n of another are paired.
        balanced: Show classes in equal shares, as far as the number of shots allows.
        seed: Seed of the study.
        demonstrations: Parquet file to write.
    """
    data = read_examples(examples)
    settings = {"factor": factor, "levels": levels, "reference": reference, "draws": draws, "balanced": balanced}
    try:
        drawn = sample_draws(data, **settings, key=f"{seed}/{dataset}")  # type: ignore[arg-type]
    except PoolError as error:
        raise PoolError(f"datasets.{dataset}: {error}; lower factors.shots or reference.shots") from None
    made = origin("sample_demonstrations", ("pyarrow",), **settings, seed=seed)
    write_draws(drawn, data.words, demonstrations, made)


if __name__ == "__main__":
    command(sample_demonstrations)
