"""Train the embedded model, or pin a model that comes from elsewhere."""

from pathlib import Path

from workflow_scripts.lib.command import command
from workflow_scripts.lib.hub import HubError
from workflow_scripts.lib.models import REFERENCE, ModelError, ModelReference
from workflow_scripts.lib.progress import Progress, log
from workflow_scripts.lib.sources import HubModel, LocalModel, PocketModel
from workflow_scripts.lib.tables import whole


def prepare_model(
    *,
    source: PocketModel | LocalModel | HubModel,
    steps: int,
    tokens_per_step: int,
    learning_rate: float,
    gate_queries: int,
    model: Path,
) -> None:
    """Write the folder `model`: model.json, and for the embedded model its weights and tokenizer.

    Args:
        source: Where the model comes from, as params.yaml says; only `pocket` is trained here.
        steps: Training steps.
        tokens_per_step: Tokens in a training step.
        learning_rate: Peak learning rate.
        gate_queries: Queries per task and number of shots that the trained model must answer well.
        model: Folder to write.
    """
    try:
        with whole(model) as folder:
            folder.mkdir()
            if isinstance(source, PocketModel):
                reference = _pocket(folder, source, steps, tokens_per_step, learning_rate, gate_queries)
            else:
                reference = _pinned(source)
            (folder / REFERENCE).write_text(reference.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except (ModelError, HubError) as error:
        raise ModelError(f"models.{model.name}: {error}") from None


def _pinned(source: LocalModel | HubModel) -> ModelReference:
    from workflow_scripts.lib.model_sources import pin_hub, pin_local

    return pin_local(source) if isinstance(source, LocalModel) else pin_hub(source)


def _pocket(
    folder: Path,
    source: PocketModel,
    steps: int,
    tokens_per_step: int,
    learning_rate: float,
    gate_queries: int,
) -> ModelReference:
    import torch
    from transformers.utils.logging import disable_progress_bar

    from workflow_scripts.lib.pocket import gate
    from workflow_scripts.lib.pocket import model as pocket
    from workflow_scripts.lib.pocket.training import train

    torch.set_num_threads(1)  # such small matrices gain little from a second one, and sums round by thread
    disable_progress_bar()
    made, tokenizer = pocket.initial_model(source.seed), pocket.tokenizer()
    if not source.untrained:
        with Progress("training steps", steps) as progress:
            train(
                made,
                seed=source.seed,
                steps=steps,
                tokens_per_step=tokens_per_step,
                learning_rate=learning_rate,
                progress=lambda done, total, loss: progress.advance(done - progress.done, f"loss {loss:.3f}"),
            )
        measured = gate.measure(made, tokenizer, queries=gate_queries, seed=source.seed)
        for cell, accuracy in measured.items():
            log(f"gate: {cell.task}, {cell.labels} labels, {cell.shots} shots: accuracy {accuracy.label_set:.2f}")
        gate.check(measured)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelReference(device="cpu")


if __name__ == "__main__":
    command(prepare_model)
