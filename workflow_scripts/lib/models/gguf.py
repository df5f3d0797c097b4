"""Models in a GGUF file, made into folders in Hugging Face format; transformers reads the file, and never all of them.

What such a file's weights were quantised to is part of the model: it is read as numbers, without a further loss, and is
another model than the one that it was quantised from.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.artifacts.provenance import file_digest
from workflow_scripts.lib.models.files import ModelError, listed
from workflow_scripts.lib.models.weights import check_report, empty_model

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedConfig

MAGIC = b"GGUF"
UNREAD = ("rope_freqs", "rope_factors")  # tensors that scale rotary frequencies, which transformers leaves out


def digest(file: Path) -> str:
    """SHA-256 of a GGUF file, 64 hex digits; ModelError where it is no file, or no GGUF."""
    if not file.is_file():
        raise ModelError(f"{file}: no such file (relative paths start at the project's root)")
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise ModelError(f"{file}: is no GGUF file; a folder in Hugging Face format is `source: local`")
    return file_digest(file)


def unpack(file: Path, folder: Path) -> "PreTrainedConfig":
    """Write config and tokenizer of a GGUF file into a folder; the config.

    ModelError for a file that is no GGUF, is one of several, or is of what transformers does not read.
    """
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    _check(file, _reader(file))
    with _alone(file) as where, _explained(file):
        config = AutoConfig.from_pretrained(**where)
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    config.save_pretrained(folder)
    return config


def unpack_weights(file: Path, folder: Path, dtype: str) -> None:
    """Write the weights as safetensors in `dtype` beside their config; ModelError where they are not those of it."""
    import torch
    from transformers import AutoModelForCausalLM

    # Its bar of progress, which no setting of transformers switches off, would fill the job's log.
    with _alone(file) as where, _explained(file), redirect_stderr(StringIO()):
        read: Any = AutoModelForCausalLM.from_pretrained(
            **where, dtype=getattr(torch, dtype), output_loading_info=True, ignore_mismatched_sizes=True
        )
    model, report = read
    config = model.config
    check_report(file, config, report)
    del config.quantization_config  # with it transformers would take what is saved for quantised
    plain = empty_model(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)


def described(file: Path, *, weights: bool) -> str:
    """What a GGUF file says of itself: name, licence and, where they are read, how many weights are of which type."""
    reader = _reader(file)
    name, licence = (_said(reader, f"general.{key}") or "not said" for key in ("name", "license"))
    text = f"architecture {_said(reader, 'general.architecture')}, name {name}, licence {licence}"
    if not weights:
        return text
    types = Counter[str]()
    for tensor in reader.tensors:
        types[tensor.tensor_type.name] += int(tensor.n_elements)
    shares = ", ".join(f"{kind} {100 * count / types.total():.1f} %" for kind, count in types.most_common())
    return f"{text}; weights stored as {shares}, read as numbers: a model of its own, not the one it was quantised from"


def _reader(file: Path) -> "GGUFReader":
    from gguf import GGUFReader

    with _explained(file, "is damaged or cut short"):
        return GGUFReader(file)


def _check(file: Path, reader: "GGUFReader") -> None:
    parts = _said(reader, "split.count")
    if parts and int(parts) > 1:
        raise ModelError(f"{file}: is one of {parts} files of a model; merge them (`llama-gguf-split --merge`)")
    unread = [one.name for one in reader.tensors if one.name.startswith(UNREAD)]
    if unread:
        raise ModelError(
            f"{file}: scales its rotary frequencies ({listed(unread)}), which transformers does not read from GGUF; "
            "use the checkpoint that it was made from"
        )


def _said(reader: "GGUFReader", key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


@contextmanager
def _alone(file: Path) -> Iterator[dict[str, Any]]:
    """What `from_pretrained` takes for a file in a folder of its own: what lies beside it would be read first."""
    with TemporaryDirectory() as folder:
        (Path(folder) / file.name).symlink_to(file.resolve())
        yield {"pretrained_model_name_or_path": folder, "gguf_file": file.name, "trust_remote_code": False}


@contextmanager
def _explained(file: Path, what: str = "cannot be read by transformers") -> Iterator[None]:
    """Turn what gguf and transformers say of a file, each with errors of its own, into one line."""
    try:
        yield
    except Exception as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"{file}: {what}: {why}") from None
