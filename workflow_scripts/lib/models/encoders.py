"""Vectors of texts, by which they are alike: a model's mean state, or what a sentence-transformers model makes.

Texts run in batches of equal length, so that nothing is padded and no vector depends on the others of its batch.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.data.choice import Relevance
from workflow_scripts.lib.models.config import check_trained, load_tokenizer
from workflow_scripts.lib.models.files import ModelError, listed, read_json
from workflow_scripts.lib.models.hub import snapshot
from workflow_scripts.lib.models.load import load_model

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 32  # texts of a batch
MODULES = "modules.json"  # of a sentence-transformers model: what runs one after the other
MODE = "pooling_mode_"
POOLINGS = ("cls_token", "mean_tokens", "max_tokens", "lasttoken")  # as its pooling config calls those read here
LEFT_OUT = "pooler"  # weights that a checkpoint may lack: they make nothing of a token's state

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]


class Sentences(NamedTuple):
    """How a sentence-transformers model makes a vector of a text: the most tokens, and which of POOLINGS."""

    model: Path
    longest: int | None
    lower_case: bool
    pooling: str


def mean_states(prepared: Path) -> Encode:
    """A prepared model's last state, after the final norm, in the mean over a text's tokens.

    What the tokenizer puts around a text is run and left out of the mean: at a first token attention rests, and its
    state is of another size than all others.
    """
    loaded = load_model(prepared)

    def encode(texts: Sequence[str]) -> Vectors:
        told = [loaded.tokenizer(text, return_special_tokens_mask=True) for text in texts]
        ids = [one["input_ids"] for one in told]
        # A text of nothing but special tokens has no others to take the mean over.
        own = [[not mark for mark in one["special_tokens_mask"]] for one in told]
        counted = [some if any(some) else [True] * len(some) for some in own]
        return _run(loaded.model.base_model, ids, counted, "mean_tokens")

    return encode


def sentences(folder: Path) -> Encode:
    """What a sentence-transformers model in a folder makes of texts; ModelError where it is none that is read here."""
    import torch
    from transformers import AutoModel

    how = check_sentences(folder)
    tokenizer = load_tokenizer(how.model)
    try:
        model, report = AutoModel.from_pretrained(
            how.model,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise ModelError(f"{how.model}: cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    lacking = sorted(name for name in report["missing_keys"] if LEFT_OUT not in name)
    if lacking or report["mismatched_keys"]:
        names = lacking or sorted(name for name, *_ in report["mismatched_keys"])
        raise ModelError(f"{how.model}: its weights lack {listed(names)}, or have other shapes than config.json says")

    def encode(texts: Sequence[str]) -> Vectors:
        cut: dict[str, Any] = {"truncation": True, "max_length": how.longest} if how.longest else {}
        ids = [tokenizer(text.lower() if how.lower_case else text, **cut)["input_ids"] for text in texts]
        return _run(model.eval(), ids, [[True] * len(one) for one in ids], how.pooling)

    return encode


def folder_of(relevance: Relevance, *, weights: bool = True) -> Path:
    """The folder of the sentence-transformers model that settings name; HubError where the hub does not give it."""
    return relevance.path or snapshot(str(relevance.id), str(relevance.revision), weights=weights)


def check_encoder(relevance: Relevance) -> None:
    """ModelError or HubError where vectors cannot be had as settings say, as far as files without weights tell."""
    if relevance.by == "sentences":
        check_sentences(folder_of(relevance, weights=False))


def check_sentences(folder: Path) -> Sentences:
    """How a folder's model makes vectors; ModelError where the folder does not say so, or in a way not read here."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder (relative paths start at the project's root)")
    if not (folder / MODULES).is_file():
        raise ModelError(f"{folder}: has no {MODULES}, so it is no folder of a sentence-transformers model")
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        kinds = [one["type"].rpartition(".")[2] for one in modules]
        model, pooled = (folder / one["path"] for one in modules[:2])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelError(f"{folder / MODULES}: does not name modules by `type` and `path`; fetch it again") from None
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ModelError(
            f"{folder / MODULES}: has {', '.join(kinds)}; read is Transformer, Pooling and, if need be, Normalize"
        )
    said = read_json(pooled / "config.json")
    chosen = [name.removeprefix(MODE) for name, on in said.items() if name.startswith(MODE) and on]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        how = ", ".join(chosen) or "nothing"
        raise ModelError(f"{pooled / 'config.json'}: pools by {how}; read is one of {', '.join(POOLINGS)}")
    check_trained(model)
    beside = model / "sentence_bert_config.json"
    settings = read_json(beside) if beside.is_file() else {}
    return Sentences(model, settings.get("max_seq_length"), bool(settings.get("do_lower_case")), chosen[0])


def _run(model: Any, ids: Sequence[Sequence[int]], counted: Sequence[Sequence[bool]], pooling: str) -> Vectors:
    """One vector a text, [texts, d]: of the last states of the tokens that count."""
    import torch

    made: dict[int, Vectors] = {}
    with torch.inference_mode():
        for batch in _batches(ids):
            tokens = torch.tensor([ids[i] for i in batch], device=model.device)
            states = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state.float()
            marks = torch.tensor([counted[i] for i in batch], device=states.device)
            vectors = _pooled(states, marks, pooling).cpu().numpy()
            made |= dict(zip(batch, vectors, strict=True))
    return np.stack([made[i] for i in range(len(ids))])


def _pooled(states: "Tensor", counted: "Tensor", pooling: str) -> "Tensor":
    """[texts, tokens, d], [texts, tokens] -> [texts, d]."""
    if pooling == "cls_token":
        return states[:, 0]
    if pooling == "lasttoken":
        return states[:, -1]
    if pooling == "max_tokens":
        return states.amax(dim=1)
    weights = counted[..., None].to(states)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _batches(ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Numbers of texts of as many tokens, some at a time."""
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for _, some in groupby(by_length, key=lambda i: len(ids[i])):
        alike = list(some)
        yield from (alike[start : start + AT_ONCE] for start in range(0, len(alike), AT_ONCE))
