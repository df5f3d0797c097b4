"""Pinning models that come from elsewhere: by digests of local files, by the hub's commit, by a wheel's digest.

What a folder or the hub holds stays there. What a GGUF file holds is written beside model.json in Hugging Face format,
so that stages load it as any other folder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workflow_scripts.lib.artifacts.provenance import file_digest
from workflow_scripts.lib.models import gguf
from workflow_scripts.lib.models.about import About
from workflow_scripts.lib.models.config import check_trained, load_config, load_tokenizer
from workflow_scripts.lib.models.files import ModelError, files_read
from workflow_scripts.lib.models.hub import check_weights_there, commit_of, snapshot
from workflow_scripts.lib.models.load import ModelReference
from workflow_scripts.lib.models.sources import (
    Checkpoint,
    GgufModel,
    HubModel,
    LocalModel,
    PackageModel,
    lower,
    takes_weights,
)
from workflow_scripts.lib.models.weights import check_blocks, check_makes, check_weights, empty_model
from workflow_scripts.lib.wheels import unpacked


def pin(source: LocalModel | HubModel | GgufModel | PackageModel, folder: Path) -> ModelReference:
    """What model.json in `folder` is to say of a model; what it says of itself is written beside, with a GGUF's model.

    ModelError, HubError or WheelError where the model cannot be had, or cannot be used.
    """
    if isinstance(source, LocalModel):
        return pin_local(source, folder)
    return pin_hub(source, folder) if isinstance(source, HubModel) else pin_gguf(source, folder)


def check(source: LocalModel | HubModel | GgufModel | PackageModel) -> Path:
    """The folder of a model's config and tokenizer, if it can be loaded as far as they tell; errors as of `pin`."""
    if isinstance(source, LocalModel):
        return check_local(source)
    return check_hub(source) if isinstance(source, HubModel) else check_gguf(source)


def pin_local(source: LocalModel, folder: Path) -> ModelReference:
    """Note a digest of every file of a model folder that loading reads."""
    found = check_local(source)
    read = files_read(found, allow_pickle=source.allow_pickle, weights=takes_weights(source))
    _about(f"{found.name}, a local folder pinned by digests of its files", found, source).write(folder)
    return ModelReference(
        path=source.path.as_posix(),
        files={path.relative_to(found).as_posix(): file_digest(path) for path in read},
        allow_pickle=source.allow_pickle,
        **_loading(source),
    )


def check_local(source: LocalModel) -> Path:
    """The folder of a local model, if it can be loaded; ModelError says what is missing or does not fit."""
    if not source.path.is_dir():
        raise ModelError(f"{source.path}: no such folder (relative paths start at the project's root)")
    return _checked(source.path, source)


def pin_hub(source: HubModel, folder: Path) -> ModelReference:
    """Resolve a revision to its commit, fetch the files into the hub's cache and check them."""
    commit = commit_of(source.id, source.revision)
    found = snapshot(source.id, commit, weights=takes_weights(source), allow_pickle=source.allow_pickle)
    _about(f"{source.id} of the Hugging Face hub at commit {commit}", _checked(found, source), source).write(folder)
    return ModelReference(hub_id=source.id, commit=commit, allow_pickle=source.allow_pickle, **_loading(source))


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


def pin_gguf(source: GgufModel | PackageModel, folder: Path) -> ModelReference:
    """Write what a GGUF file holds into `folder`, weights in the model's dtype, and note the file's digest."""
    with _gguf_file(source) as file:
        digest = gguf.digest(file)
        gguf.unpack(file, folder)
        _check_loads(folder)
        if takes_weights(source):
            gguf.unpack_weights(file, folder, source.dtype)
        where = f"{source.release}, {file.name}" if isinstance(source, PackageModel) else file.name
        _about(f"{where}: {gguf.described(file, weights=takes_weights(source))}", folder, source).write(folder)
        return ModelReference(files={file.name: digest}, **_loading(source))


def check_gguf(source: GgufModel | PackageModel) -> Path:
    """A folder, there until this process ends, with config and tokenizer of a GGUF file; its weights are not read."""
    with _gguf_file(source) as file:
        folder = _settings_of(file)
    _check_loads(folder)
    if source.untrained == "blocks":
        check_blocks(folder)
    return folder


@contextmanager
def _gguf_file(source: GgufModel | PackageModel) -> Iterator[Path]:
    if isinstance(source, GgufModel):
        yield source.path
        return
    with unpacked(source) as file:
        yield file


def _settings_of(file: Path) -> Path:
    """Config and tokenizer of a GGUF file, read once for all files of its bytes: a vocabulary takes seconds."""
    digest = gguf.digest(file)
    if digest not in _settings:
        _settings[digest] = TemporaryDirectory()
        gguf.unpack(file, Path(_settings[digest].name))
    return Path(_settings[digest].name)


_settings: dict[str, TemporaryDirectory[str]] = {}  # they are removed as this process ends


def _checked(folder: Path, source: LocalModel | HubModel) -> Path:
    load_config(folder)
    files_read(folder, allow_pickle=source.allow_pickle, weights=takes_weights(source))
    load_tokenizer(folder)
    if takes_weights(source):
        check_weights(folder, allow_pickle=source.allow_pickle, by_parts=source.precision == "split")
    else:
        check_makes(folder)
    if source.untrained == "blocks":
        check_blocks(folder)
    return folder


def _check_loads(folder: Path) -> None:
    load_config(folder)
    load_tokenizer(folder)
    check_makes(folder)


def _about(text: str, folder: Path, source: Checkpoint) -> About:
    parameters = sum(one.numel() for one in empty_model(load_config(folder)).parameters())
    drawn = DRAWN[source.untrained].format(source.seed)
    return About(text=f"{text}{drawn}{_computed(source)}", parameters=parameters)


def _computed(source: Checkpoint) -> str:
    """What a model computes in, where that is less than float32."""
    if getattr(source, "precision", "whole") == "split":
        return "; weights as stored, activations in float32, their products by parts (`precision: split`)"
    return f"; computed in {source.dtype}" if lower(source) else ""


DRAWN = {
    False: "",
    True: "; config and tokenizer alone, weights drawn from seed {}",
    "blocks": "; its blocks drawn anew from seed {}",
}


def _loading(source: Checkpoint) -> dict[str, Any]:
    return {
        "dtype": source.dtype,
        "precision": getattr(source, "precision", "whole"),
        "device": source.device,
        "cards": source.cards,
        "random_seed": source.seed if source.untrained else None,
        "drawn": "blocks" if source.untrained == "blocks" else "all",
    }
