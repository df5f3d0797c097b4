"""Draw the sets of demonstrations of one setting, for all queries or one for each."""

from pathlib import Path
from typing import Any

from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.alike import Similarity, by_vectors
from workflow_scripts.lib.data.choice import Choice, Relevance, SampleDemonstrations
from workflow_scripts.lib.data.drawing import PoolError
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import ANOTHER, OtherTask, write_sets
from workflow_scripts.lib.data.tf_idf import tf_idf
from workflow_scripts.lib.models.encoders import folder_of, mean_states, sentences


def sample_demonstrations(
    examples: Path,
    *,
    other: Path | None,
    encoder: Path | None,
    choice: Choice,
    draws: int,
    seed: int,
    settings: SampleDemonstrations,
    demonstrations: Path,
) -> None:
    """Write `demonstrations`: a row per set, with the draws that it serves and its demonstrations in order.

    Args:
        examples: Prepared data set, called as in params.yaml, for errors to name it.
        other: Another prepared data set, where demonstrations are of that one; null where they are its own.
        encoder: Prepared model by whose states demonstrations are chosen; null where they are not chosen so.
        choice: How demonstrations are chosen: number of shots, rule of labels and so on.
        draws: How many; draw n of one setting and draw n of another are paired.
        seed: Seed of the study.
        settings: The block of params.yaml that is called as this stage.
        demonstrations: Parquet file to write.
    """
    how: dict[str, Any] = {"draws": draws, "settings": settings.used_by(choice), "seed": seed}
    try:
        task = OtherTask(ANOTHER, read_examples(other)) if other else None
        similarity = _similarity(settings.relevance, encoder) if choice.relevance != "any" else tf_idf
        sets = sample_sets(read_examples(examples), choice, **how, other=task, similarity=similarity)
    except PoolError as error:
        raise PoolError(f"datasets.{(other or examples).stem}: {error}") from None
    write_sets(sets, demonstrations, origin(choice=choice, **how), task)


def _similarity(relevance: Relevance, encoder: Path | None) -> Similarity:
    """How alike texts are, as the settings say; ModelError or HubError where what they name cannot be had."""
    if relevance.by == "tf-idf":
        return tf_idf
    if relevance.by == "states":
        assert encoder is not None
        return by_vectors(mean_states(encoder), centred=True)
    return by_vectors(sentences(folder_of(relevance)), centred=False)


if __name__ == "__main__":
    command(sample_demonstrations)
