"""Files of a model on the Hugging Face hub: fetched into the hub's cache, found there again without network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = ["*.safetensors", "*.bin"]
OTHER_FORMATS = ["*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.ot", "*.tflite", "original/*", "onnx/*"]


class HubError(ValueError):
    """The hub does not give what was asked for; the message says what to do."""


def commit_of(hub_id: str, revision: str) -> str:
    """The commit that a revision of a model names now."""
    from huggingface_hub import HfApi

    with explained(f"{hub_id} at revision {revision}"):
        return str(HfApi().model_info(hub_id, revision=revision).sha)


def snapshot(hub_id: str, commit: str, *, weights: bool) -> Path:
    """Folder in the hub's cache with a model's files at a commit; fetched where it is not there yet."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    ignored = OTHER_FORMATS if weights else [*OTHER_FORMATS, *WEIGHTS]
    try:
        return Path(snapshot_download(hub_id, revision=commit, ignore_patterns=ignored, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    with explained(f"{hub_id} at commit {commit}"):
        files = [one.rfilename for one in HfApi().model_info(hub_id, revision=commit).siblings or []]
        if any(name.endswith(".safetensors") for name in files):
            ignored = [*ignored, "*.bin"]
        return Path(snapshot_download(hub_id, revision=commit, ignore_patterns=ignored))


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
