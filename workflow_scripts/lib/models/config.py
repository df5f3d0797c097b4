"""Configs and tokenizers of model folders, read without running any code of theirs; what cannot be used is refused."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.models.files import ADAPTER, ModelError, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

QUANTISED = ("quantization_config", "compression_config")
QUANTISERS = ("quantize_config.json", "quant_config.json")  # of GPTQ and AWQ, before config.json said it


# Files that a tokenizer's vocabulary is in, or that say what code makes it.
TOKENIZERS = ("tokenizer*.json", "vocab*", "*.model", "*.tiktoken", "*.spm", "bpe.codes", "dict.txt")


def load_config(folder: Path) -> "PreTrainedConfig":
    """Read config.json; ModelError where the folder has none, or none of a causal language model of transformers."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    path = folder / "config.json"
    if not path.is_file():
        if (folder / ADAPTER).is_file():
            raise ModelError(f"{folder}: is an adapter without its model; merge the two, and name the merged folder")
        raise ModelError(f"{folder}: has no config.json, so it is no model folder in Hugging Face format")
    said = read_json(path)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{path}: {_why(said, error)}") from None
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(f"{path}: {_class(said, config)} is no causal language model of transformers{_custom(said)}")
    if config.is_encoder_decoder:
        raise ModelError(f"{path}: {_class(said, config)} is an encoder and a decoder, and this study asks a decoder")
    # Transformers' choice, never the checkpoint's: it may name a kernel of the hub, which is code that would be run.
    config._attn_implementation = None
    config._experts_implementation = None
    return config


def check_trained(folder: Path) -> None:
    """ModelError for a folder whose weights are not what a plain load gives: quantised, or with an adapter beside."""
    said = read_json(folder / "config.json")
    parts = [said, *(part for name, part in said.items() if name.endswith("_config") and isinstance(part, dict))]
    quantised = next((one for part in parts for one in map(part.get, QUANTISED) if one), None)
    if quantised:
        method = quantised.get("quant_method", "unknown") if isinstance(quantised, dict) else quantised
        raise ModelError(
            f"{folder}: its weights are quantised ({method}), and their states have that noise; use the checkpoint "
            "that it was made from, with `dtype: bfloat16` where memory is short"
        )
    left = [name for name in QUANTISERS if (folder / name).is_file()]
    if left:
        raise ModelError(
            f"{folder}: has {left[0]}, so its weights are quantised; use the checkpoint that it was made from, or move "
            "that file elsewhere if it is a leftover"
        )
    if (folder / ADAPTER).is_file():
        raise ModelError(
            f"{folder}: has an adapter beside its weights ({ADAPTER}), which transformers would put into the model; "
            "move the adapter's files elsewhere, or merge it and name the merged folder"
        )


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a model folder; ModelError where there is none, or none that the libraries here read."""
    from transformers import AutoTokenizer
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{folder}: has no tokenizer that can be loaded: {_lacking(folder) or _line(error)}") from None
    _check_filled(folder, tokenizer)
    return tokenizer


def _check_filled(folder: Path, tokenizer: Any) -> None:
    """ModelError for a tokenizer that transformers made of nothing."""
    kind = type(tokenizer).__name__
    lacks = [name for name in tokenizer.vocab_files_names.values() if not (folder / name).is_file()]
    own = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) - set(tokenizer.added_tokens_encoder)
    if lacks and len(own) <= 1:  # the mark of a space is there without any file
        raise ModelError(
            f"{folder}: its {kind} has no vocabulary, since files are missing ({', '.join(lacks)}); fetch those of the "
            "checkpoint's tokenizer"
        )


def _lacking(folder: Path) -> str | None:
    from importlib.util import find_spec

    models = sorted(folder.glob("*.model"))
    fast = folder / "tokenizer.json"
    if not any(path.is_file() for pattern in TOKENIZERS for path in folder.glob(pattern)):
        return f"none of its files is there ({fast.name}); fetch those of the checkpoint's tokenizer"
    if (folder / "vocab.json").is_file() and not fast.is_file() and not (folder / "merges.txt").is_file():
        return "vocab.json is there without merges.txt; fetch that file"
    if models and not fast.is_file() and find_spec("sentencepiece") is None:
        return f"{models[0].name} is SentencePiece's, without a tokenizer.json; `pip install sentencepiece protobuf`"
    said = folder / "tokenizer_config.json"
    if said.is_file() and read_json(said).get("auto_map"):
        return "it comes with code of its own (auto_map), which is never run"
    if fast.is_file():
        from tokenizers import Tokenizer, __version__

        try:
            Tokenizer.from_file(str(fast))
        except Exception as error:
            return f"tokenizer.json is not read by tokenizers {__version__} ({_line(error)})"
    return None


def _why(said: dict[str, Any], error: Exception) -> str:
    from transformers import CONFIG_MAPPING, __version__

    kind = said.get("model_type")
    if kind is None:
        return "has no model_type, so it is no config of transformers"
    if not isinstance(kind, str):
        return f"has {kind!r} as model_type, and not a name"
    if kind not in CONFIG_MAPPING:
        return f"transformers {__version__} does not know model_type {kind!r}{_custom(said)}"
    return _line(error)


def _custom(said: dict[str, Any]) -> str:
    return "; it comes with code of its own (auto_map), which is never run" if said.get("auto_map") else ""


def _class(said: dict[str, Any], config: Any) -> str:
    named = said.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else type(config).__name__


def _line(error: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
