"""Pinning models that come from elsewhere: local folders by digests of their files, hub models by their commit."""

from pathlib import Path
from typing import Any

from workflow_scripts.lib.artifacts.provenance import file_digest
from workflow_scripts.lib.models.config import check_trained, load_config, load_tokenizer
from workflow_scripts.lib.models.files import ModelError, files_read
from workflow_scripts.lib.models.hub import check_weights_there, commit_of, snapshot
from workflow_scripts.lib.models.load import ModelReference
from workflow_scripts.lib.models.sources import HubModel, LocalModel, takes_weights
from workflow_scripts.lib.models.weights import check_blocks, check_makes, check_weights


def pin_local(source: LocalModel) -> ModelReference:
    """Note a digest of every file of a model folder that loading reads."""
    folder = check_local(source)
    read = files_read(folder, allow_pickle=source.allow_pickle, weights=takes_weights(source))
    return ModelReference(
        path=source.path.as_posix(),
        files={path.relative_to(folder).as_posix(): file_digest(path) for path in read},
        **_loading(source),
    )


def check_local(source: LocalModel) -> Path:
    """The folder of a local model, if it can be loaded; ModelError says what is missing or does not fit."""
    if not source.path.is_dir():
        raise ModelError(f"{source.path}: no such folder (relative paths start at the project's root)")
    return _checked(source.path, source)


def check_hub(source: HubModel) -> Path:
    """The folder of a hub model's config and tokenizer; ModelError for what is wrong as far as they and names tell."""
    commit = commit_of(source.id, source.revision)
    folder = snapshot(source.id, commit, weights=False)
    load_config(folder)
    load_tokenizer(folder)
    check_makes(folder)
    if takes_weights(source):
        check_trained(folder)
        check_weights_there(source.id, commit, allow_pickle=source.allow_pickle)
    if source.untrained == "blocks":
        check_blocks(folder)
    return folder


def pin_hub(source: HubModel) -> ModelReference:
    """Resolve a revision to its commit, fetch the files into the hub's cache and check them."""
    commit = commit_of(source.id, source.revision)
    _checked(snapshot(source.id, commit, weights=takes_weights(source), allow_pickle=source.allow_pickle), source)
    return ModelReference(hub_id=source.id, commit=commit, **_loading(source))


def _checked(folder: Path, source: LocalModel | HubModel) -> Path:
    load_config(folder)
    files_read(folder, allow_pickle=source.allow_pickle, weights=takes_weights(source))
    load_tokenizer(folder)
    if takes_weights(source):
        check_weights(folder, allow_pickle=source.allow_pickle)
    else:
        check_makes(folder)
    if source.untrained == "blocks":
        check_blocks(folder)
    return folder


def _loading(source: LocalModel | HubModel) -> dict[str, Any]:
    seed = source.seed if source.untrained else None
    return {
        "dtype": source.dtype,
        "device": source.device,
        "random_seed": seed,
        "drawn": "blocks" if source.untrained == "blocks" else "all",
        "allow_pickle": source.allow_pickle,
    }
