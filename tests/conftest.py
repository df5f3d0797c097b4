"""Shared fixtures: tiny models of two architectures, and data that lies outside the project where it is at hand."""

import os
import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a script, as no user's run is
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parents[1]
OUTSIDE = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared"))


@pytest.fixture
def outside():
    """A file or folder of real data beside the project; the test is skipped where it is absent."""

    def find(path):
        if not (OUTSIDE / path).exists():
            pytest.skip(f"needs {path} under TEST_DATA or ../shared")
        return OUTSIDE / path

    return find


@pytest.fixture
def signals():
    """Python's own signal handlers; a Snakefile that is read in a test's process takes them, and keeps them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    own = {**dict.fromkeys(numbers, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    for number, handler in own.items():
        signal.signal(number, handler)
    yield
    for number, handler in own.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tokenizer():
    from workflow_scripts.lib.pocket import model as pocket

    return pocket.tokenizer()


def tiny_config(architecture, vocabulary):
    from transformers import GPT2Config, LlamaConfig

    if architecture == "llama":
        return LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
        )
    return GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=3, n_head=4, n_positions=512)


@pytest.fixture(scope="session", params=["llama", "gpt2"])
def tiny_model(request, tokenizer):
    """A random model, rotary with grouped queries or with absolute positions."""
    from workflow_scripts.lib.models.weights import random_model

    return random_model(tiny_config(request.param, len(tokenizer)), seed=0).eval()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, tokenizer):
    """A tiny LLaMA in Hugging Face format on disk."""
    from workflow_scripts.lib.models.weights import random_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model(tiny_config("llama", len(tokenizer)), seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
