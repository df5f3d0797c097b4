"""Pinning models that come from elsewhere: local folders by digests of their files, hub models by their commit."""

from pathlib import Path
from typing import Any

from workflow_scripts.lib.hub import WEIGHTS, commit_of, snapshot
from workflow_scripts.lib.models import ModelError, ModelReference, load_config, load_tokenizer
from workflow_scripts.lib.provenance import file_digest
from workflow_scripts.lib.sources import HubModel, LocalModel


def pin_local(source: LocalModel) -> ModelReference:
    """Note a digest of every file of a model folder that loading reads."""
    folder = check_local(source)
    read = [*sorted(folder.glob("*.json")), *([] if source.untrained else _weights(folder))]
    return ModelReference(
        path=source.path.as_posix(),
        files={path.name: file_digest(path) for path in read},
        **_loading(source),
    )


def check_local(source: LocalModel) -> Path:
    """The folder of a local model, if config, tokenizer and weights are there; ModelError says what is missing."""
    folder = source.path
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder (relative paths start at the project's root)")
    load_config(folder)
    load_tokenizer(folder)
    if not source.untrained and not _weights(folder):
        raise ModelError(f"{folder}: has no weights ({', '.join(WEIGHTS)}); `untrained: true` needs none")
    return folder


def _weights(folder: Path) -> list[Path]:
    return sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def pin_hub(source: HubModel) -> ModelReference:
    """Resolve a revision to its commit, fetch the files into the hub's cache and check them."""
    commit = commit_of(source.id, source.revision)
    folder = snapshot(source.id, commit, weights=not source.untrained)
    load_config(folder)
    load_tokenizer(folder)
    return ModelReference(hub_id=source.id, commit=commit, **_loading(source))


def _loading(source: LocalModel | HubModel) -> dict[str, Any]:
    seed = source.seed if source.untrained else None
    return {"dtype": source.dtype, "device": source.device, "random_seed": seed}
