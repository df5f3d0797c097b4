"""Files of a model on the Hugging Face hub: fetched into the hub's cache, found there again without network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.files import ModelError, weight_names

PICKLES, SAFETENSORS = "*.bin", "*.safetensors"
OTHER_FORMATS = [
    *("*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.ot", "*.tflite", "*.pth", "*.pt"),
    *("consolidated*", "original/*", "onnx/*"),
]


class HubError(StudyError):
    """The hub does not give what was asked for; the message says what to do."""


def commit_of(hub_id: str, revision: str) -> str:
    """The commit that a revision of a model names now."""
    from huggingface_hub import HfApi

    with explained(f"{hub_id} at revision {revision}"):
        return str(HfApi().model_info(hub_id, revision=revision).sha)


def check_weights_there(hub_id: str, commit: str, *, allow_pickle: bool) -> None:
    """ModelError where a model has no weights that can be read, or only pickles and they are not allowed."""
    found = _weights(hub_id, commit)
    if not found:
        raise ModelError(f"{hub_id}: has no weights in transformers' format (model.safetensors)")
    if not allow_pickle and _only_pickles(found):
        raise ModelError(
            f"{hub_id}: its weights are only in pickles ({min(found)}); take a revision with safetensors, or say "
            "`allow_pickle: true` for this model: nothing but tensors is then read of them"
        )


def snapshot(hub_id: str, commit: str, *, weights: bool, allow_pickle: bool = False) -> Path:
    """Folder in the hub's cache with a model's files at a commit; fetched where it is not there yet.

    Pickled weights are fetched only where they are allowed and there are no others.
    """
    from huggingface_hub import snapshot_download

    ignored = [*OTHER_FORMATS, PICKLES] if weights else [*OTHER_FORMATS, PICKLES, SAFETENSORS]
    cached = _cached(hub_id, commit, ignored)
    if cached and weights and allow_pickle and not weight_names(path.name for path in cached.iterdir()):
        cached, ignored = _cached(hub_id, commit, OTHER_FORMATS), OTHER_FORMATS
    if cached:
        return cached
    with explained(f"{hub_id} at commit {commit}"):
        if weights and _only_pickles(_weights(hub_id, commit)) and allow_pickle:
            ignored = OTHER_FORMATS
        return Path(snapshot_download(hub_id, revision=commit, ignore_patterns=ignored))


def _cached(hub_id: str, commit: str, ignored: list[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=commit, ignore_patterns=ignored, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _weights(hub_id: str, commit: str) -> set[str]:
    from huggingface_hub import HfApi

    with explained(f"{hub_id} at commit {commit}"):
        return weight_names(one.rfilename for one in HfApi().model_info(hub_id, revision=commit).siblings or [])


def _only_pickles(names: set[str]) -> bool:
    return bool(names) and all(name.endswith(".bin") for name in names)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the hub's exceptions into one HubError that says what to do."""
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError:
        raise HubError(f"{what}: is gated; ask for access on its page, then `hf auth login`") from None
    except RepositoryNotFoundError:
        raise HubError(f"{what}: not on the hub, or private; check `id`, or `hf auth login`") from None
    except RevisionNotFoundError:
        raise HubError(f"{what}: no such revision; check `revision`") from None
    except (HTTPError, OSError) as error:
        raise HubError(
            f"{what}: the hub cannot be reached ({type(error).__name__}: {error}); fetch the model where there is "
            "network (`hf download`) and use `source: local`, or bring the hub's cache along"
        ) from None
