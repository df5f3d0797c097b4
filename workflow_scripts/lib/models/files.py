"""Files of a model folder: those that loading reads, and what is wrong with them before anything is loaded.

The names, and which of them goes first, are those of transformers' `from_pretrained`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from workflow_scripts.lib.errors import StudyError

SAFE, PICKLED, INDEX = "model.safetensors", "pytorch_model.bin", ".index.json"
ADAPTER = "adapter_config.json"
# Config, tokenizer and chat template, in all formats that transformers reads.
SETTINGS = (
    *("*.json", "*.jinja", "additional_chat_templates/*.jinja"),
    *("*.model", "*.tiktoken", "*.spm", "vocab*.txt", "merges.txt", "bpe.codes", "dict.txt", "vocab.bpe"),
)
ELSEWHERE = ("*.bin", "*.safetensors", "*.gguf", "*.pth", "*.pt", "*.h5", "*.msgpack", "*.onnx")
DISTRIBUTED = "shard-*-model-*-of-*.safetensors"
# By torch's name: what safetensors call a type that a number is a weight in, with nothing to scale it.
FLOATS = {"torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
LFS = b"version https://git-lfs"


class ModelError(StudyError):
    """A model that cannot be used; the message says what, where and what to do."""


def files_read(folder: Path, *, allow_pickle: bool, weights: bool) -> list[Path]:
    """Every file that loading a folder reads, without the weights where they are drawn anew.

    ModelError where weights are missing, are only there as pickles that are not allowed, or a file is not the file.
    """
    settings = {path for pattern in SETTINGS for path in folder.glob(pattern) if not path.name.endswith(INDEX)}
    read = [*sorted(settings), *(weight_files(folder, allow_pickle=allow_pickle) if weights else [])]
    for path in read:
        _check_whole(path)
    return read


def weight_files(folder: Path, *, allow_pickle: bool) -> list[Path]:
    """The files that weights are read from, an index first."""
    if shards := sorted(path.name for path in folder.glob(DISTRIBUTED)):
        raise ModelError(f"{folder}: holds a distributed run's shards ({listed(shards)}); save it as one checkpoint")
    config = read_json(folder / "config.json")
    named = config.get("transformers_weights")
    names = [str(named)] if named else [SAFE, SAFE + INDEX]
    if named:
        _inside(folder / "config.json", names[0])
    there = [name for name in names if (folder / name).is_file()]
    pickled = [name for name in (PICKLED, PICKLED + INDEX) if (folder / name).is_file()]
    if not there and pickled and not allow_pickle:
        raise ModelError(
            f"{folder}: its weights are only in {pickled[0]}, a pickle; save them as safetensors, or say "
            "`allow_pickle: true` for this model: nothing but tensors is then read of it"
        )
    found = there or pickled
    if not found:
        others = sorted(path.name for pattern in ELSEWHERE for path in folder.glob(pattern))
        beside = f"; {', '.join(others[:3])} is not read" if others else ""
        raise ModelError(f"{folder}: has no weights ({names[0]}){beside}; `untrained: true` needs none")
    first = folder / found[0]
    return [first, *_shards(first)] if first.name.endswith(INDEX) else [first]


def stored_types(path: Path) -> dict[str, str]:
    """Tensor -> its type in a file of weights, one of FLOATS or another; no tensor is read.

    ModelError for a pickle that holds more than tensors.
    """
    import torch
    from safetensors import safe_open

    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    try:
        tensors = torch.load(path, map_location="meta", weights_only=True, mmap=is_zipfile(path))
        return {name: FLOATS.get(str(one.dtype), str(one.dtype)) for name, one in tensors.items()}
    except Exception:  # what torch says of it proposes to run what is in there
        raise ModelError(
            f"{path}: is damaged, or cannot be loaded as tensors alone, and nothing else in a pickle is read; save the "
            "weights as safetensors"
        ) from None


def weight_names(names: Iterable[str]) -> set[str]:
    """Of a repository's files those that hold weights which can be read: safetensors, or pickles where there are none.

    Weights in another format beside them are left where they are.
    """
    files = set(names)
    safe = {name for name in files if name.startswith("model") and name.endswith(".safetensors") and "/" not in name}
    bins = {name for name in files if name.startswith("pytorch_model") and name.endswith(".bin") and "/" not in name}
    return safe or bins


def _shards(index: Path) -> list[Path]:
    content = read_json(index)
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or "metadata" not in content:
        raise ModelError(f"{index}: is no index of files (weight_map, metadata); fetch it again")
    paths = [_inside(index, name) for name in dict.fromkeys(map(str, weight_map.values()))]
    missing = sorted(path.name for path in paths if not path.is_file())
    if missing:
        raise ModelError(f"{index}: of its {len(paths)} files these are not there: {listed(missing)}; fetch them")
    return sorted(paths)


def _inside(told: Path, name: str) -> Path:
    """A file that another names, in the same folder: what stands elsewhere would not be pinned."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ModelError(f"{told}: names {name}, which is not in this folder; put the file there, and name it alone")
    return told.parent / name


def _check_whole(path: Path) -> None:
    """ModelError for a pointer in the place of a file, an empty file, and safetensors that were cut short."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        start = file.read(len(LFS))
    if start == LFS:
        raise ModelError(f"{path}: is a git-lfs pointer and not the file; run `git lfs pull` there")
    if not start:
        raise ModelError(f"{path}: is empty; fetch it again")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt"):
                pass
        except SafetensorError as error:
            raise ModelError(f"{path}: is damaged or cut short ({error}); fetch it again") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; ModelError where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        if path.is_file() and path.read_bytes().startswith(LFS):
            raise ModelError(f"{path}: is a git-lfs pointer and not the file; run `git lfs pull` there") from None
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object")
    return content


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many there are."""
    more = f", ... ({len(names)})" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
