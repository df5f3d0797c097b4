"""Train the embedded model, or pin a model that comes from elsewhere."""

from pathlib import Path

from workflow_scripts.lib.artifacts.tables import whole
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.about import About
from workflow_scripts.lib.models.blocks import draw_blocks
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.load import REFERENCE, ModelReference
from workflow_scripts.lib.models.sources import Model, PocketModel, PrepareModel, takes_weights
from workflow_scripts.lib.progress import Progress, log


def prepare_model(
    *,
    source: Model,
    settings: PrepareModel,
    model: Path,
) -> None:
    """Write the folder `model`: model.json and about.json; of an embedded or a GGUF model weights and tokenizer, too.

    Args:
        source: Where the model comes from, as params.yaml says; only `pocket` is trained here.
        settings: The block of params.yaml that is called as this stage.
        model: Folder to write.
    """
    try:
        with whole(model) as folder:
            folder.mkdir()
            reference = _made(folder, source, settings)
            (folder / REFERENCE).write_text(reference.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except StudyError as error:
        raise ModelError(f"models.{model.name}: {error}") from None


def _made(folder: Path, source: Model, settings: PrepareModel) -> ModelReference:
    from workflow_scripts.lib.models.pin import pin

    return _pocket(folder, source, settings) if isinstance(source, PocketModel) else pin(source, folder)


def _pocket(folder: Path, source: PocketModel, settings: PrepareModel) -> ModelReference:
    import torch
    from transformers.utils.logging import disable_progress_bar

    from workflow_scripts.lib.pocket import gate
    from workflow_scripts.lib.pocket import model as pocket
    from workflow_scripts.lib.pocket.training import train

    torch.set_num_threads(1)  # such small matrices gain little from a second one, and sums round by thread
    disable_progress_bar()
    made, tokenizer = pocket.initial_model(source.seed), pocket.tokenizer()
    if takes_weights(source):
        with Progress("training steps", settings.steps) as progress:
            train(
                made,
                seed=source.seed,
                steps=settings.steps,
                tokens_per_step=settings.tokens_per_step,
                learning_rate=settings.learning_rate,
                progress=lambda done, total, loss: progress.advance(done - progress.done, f"loss {loss:.3f}"),
            )
        measured = gate.measure(made, tokenizer, queries=settings.gate_queries, seed=source.seed)
        for cell, accuracy in measured.items():
            log(f"gate: {cell.task}, {cell.labels} labels, {cell.shots} shots: accuracy {accuracy.label_set:.2f}")
        gate.check(measured)
    if source.untrained == "blocks":
        draw_blocks(made, pocket.initial_model(source.seed))
    trained = f"trained here for {settings.steps} steps" if takes_weights(source) else "weights as they are drawn"
    blocks = ", then its blocks drawn anew" if source.untrained == "blocks" else ""
    text = f"the embedded model (docs/pocket.md), {trained}{blocks}, seed {source.seed}"
    About(text=text, parameters=sum(one.numel() for one in made.parameters())).write(folder)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelReference(device="cpu")


if __name__ == "__main__":
    command(prepare_model)
