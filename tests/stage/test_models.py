import json
import shutil
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import load_file

from workflow_scripts.lib.models import load as models
from workflow_scripts.lib.models.about import ABOUT
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.hub import HubError, commit_of, snapshot
from workflow_scripts.lib.models.load import REFERENCE, load_model
from workflow_scripts.lib.models.pin import check_hub, pin_local
from workflow_scripts.lib.models.sources import HubModel, LocalModel, PrepareModel
from workflow_scripts.prepare_model import prepare_model

pytestmark = pytest.mark.stage
TRAINING = PrepareModel(steps=1, tokens_per_step=64, learning_rate=1e-3, gate_queries=2)


def prepared(folder, source):
    prepare_model(source=source, settings=TRAINING, model=folder)
    return load_model(folder)


def test_a_local_folder_is_loaded_where_it_is(tiny_folder, tmp_path):
    loaded = prepared(tmp_path / "m", LocalModel(source="local", path=tiny_folder))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [ABOUT, REFERENCE]
    assert not loaded.model.training
    assert loaded.model.dtype == torch.float32


def test_untrained_draws_its_weights_from_its_seed(tiny_folder, tmp_path):
    weights = [
        prepared(tmp_path / str(i), LocalModel(source="local", path=tiny_folder, **settings)).model.lm_head.weight
        for i, settings in enumerate(({}, {"untrained": True}, {"untrained": True}, {"untrained": True, "seed": 1}))
    ]
    trained, one, same, other = weights
    assert torch.equal(one, same)
    assert torch.equal(trained, one)  # the fixture's own weights are those of seed 0
    assert not torch.equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_alone_are_drawn_as_those_of_a_model_drawn_whole(tiny_folder, tmp_path, dtype):
    source = {"source": "local", "path": tiny_folder, "seed": 1, "dtype": dtype}
    trained, blocks, whole = (
        dict(prepared(tmp_path / str(one), LocalModel(**source, untrained=one)).model.named_parameters())
        for one in (False, "blocks", True)
    )
    for name, weight in blocks.items():
        assert torch.equal(weight, (whole if ".layers." in name else trained)[name]), name
    assert not torch.equal(trained["lm_head.weight"], whole["lm_head.weight"])
    assert any(not torch.equal(trained[name], whole[name]) for name in whole if ".layers." in name)


def test_an_architecture_without_one_list_of_blocks_has_none_to_draw(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("workflow_scripts.lib.models.blocks.decoder_blocks", lambda model: [])
    with pytest.raises(ModelError, match="has no one list of blocks; say `untrained: true`"):
        prepared(tmp_path / "m", LocalModel(source="local", path=tiny_folder, untrained="blocks"))


def test_dtype_is_the_models_own_setting(tiny_folder, tmp_path):
    source = LocalModel(source="local", path=tiny_folder, dtype="bfloat16", device="cpu")
    assert prepared(tmp_path / "m", source).model.dtype == torch.bfloat16


def test_a_device_that_is_not_there_is_named(tiny_folder, tmp_path):
    with pytest.raises(ModelError, match=r"device cuda:99 cannot be used here \(.+\); name another `device`"):
        prepared(tmp_path / "m", LocalModel(source="local", path=tiny_folder, device="cuda:99"))


def test_a_model_that_the_gpus_hold_only_in_part_is_refused(tiny_folder, tmp_path, monkeypatch):
    halves = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    halves |= {"model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "disk"}
    monkeypatch.setattr(models, "device_map", lambda device: halves)
    with pytest.raises(ModelError, match=r"do not hold the whole model in float32.*use more GPUs"):
        prepared(tmp_path / "m", LocalModel(source="local", path=tiny_folder))


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_folder_that_lacks_something_says_what(tiny_folder, tmp_path, removed, message):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    (copy / removed).unlink()
    with pytest.raises(ModelError, match=message):
        pin_local(LocalModel(source="local", path=copy), tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        pin_local(LocalModel(source="local", path=tmp_path / "no"), tmp_path)


def test_real_weights_and_tokenizer(outside, tmp_path):
    loaded = prepared(tmp_path / "m", LocalModel(source="local", path=outside("checkpoints/stories260K")))
    ids = loaded.tokenizer("Once upon a time, there was a little girl named", return_tensors="pt")
    told = loaded.tokenizer.decode(loaded.model.generate(**ids, max_new_tokens=2, do_sample=False)[0])
    assert "Lily" in told


class Hub(BaseHTTPRequestHandler):
    """Just enough of the hub: a model's info, its files, and the answers for gated and unknown models."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, folder, *arguments):
        self.folder = folder
        super().__init__(*arguments)

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/tiny/revision/nowhere"):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if path.startswith("/api/models/org/gated"):
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if path.startswith("/api/models/org/tiny/tree"):
            return self.answer(200, self.listing())
        if path.startswith("/api/models/org/tiny"):
            return self.answer(200, self.info())
        file = self.folder / path.rsplit("/", 1)[-1]
        if path.startswith(f"/org/tiny/resolve/{self.COMMIT}/") and file.is_file():
            return self.answer(200, file.read_bytes(), {"ETag": f'"{file.name}"', "X-Repo-Commit": self.COMMIT})
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def info(self):
        siblings = [{"rfilename": path.name} for path in self.folder.iterdir()]
        return json.dumps({"id": "org/tiny", "sha": self.COMMIT, "siblings": siblings}).encode()

    def listing(self):
        rows = [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": path.name}
            for path in self.folder.iterdir()
        ]
        return json.dumps(rows).encode()

    def answer(self, code, body, headers=None):
        self.send_response(code)
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(tiny_folder, monkeypatch, tmp_path):
    """A hub on loopback that holds the tiny model, with an empty cache; gives the server, with its `folder`."""
    from huggingface_hub import constants

    folder = shutil.copytree(tiny_folder, tmp_path / "repository")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder))
    server.folder = folder
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for module in ("constants", "hf_api", "file_download", "_snapshot_download"):
        found = __import__(f"huggingface_hub.{module}", fromlist=["x"])
        if hasattr(found, "ENDPOINT"):
            monkeypatch.setattr(found, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "")
    yield server
    server.shutdown()
    server.server_close()


def test_a_hub_model_is_pinned_to_its_commit_and_found_again_without_network(hub, tmp_path):
    source = HubModel(source="hub", id="org/tiny", revision="main")
    assert commit_of("org/tiny", "main") == Hub.COMMIT
    prepare_model(source=source, settings=TRAINING, model=tmp_path / "m")
    assert Hub.COMMIT in (tmp_path / "m" / REFERENCE).read_text()
    hub.shutdown()
    assert load_model(tmp_path / "m").model.config.num_hidden_layers == 3


def test_pickles_of_a_hub_model_are_not_fetched_beside_safetensors(hub, tmp_path):
    (hub.folder / "pytorch_model.bin").write_bytes(b"x")
    source = HubModel(source="hub", id="org/tiny", revision="main", allow_pickle=True)
    check_hub(source)
    prepare_model(source=source, settings=TRAINING, model=tmp_path / "m")
    hub.shutdown()
    load_model(tmp_path / "m")  # without network
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_pickles_of_a_hub_model_are_fetched_where_they_are_allowed(hub, tmp_path):
    torch.save(load_file(hub.folder / "model.safetensors"), hub.folder / "pytorch_model.bin")
    (hub.folder / "model.safetensors").unlink()
    source = HubModel(source="hub", id="org/tiny", revision="main")
    with pytest.raises(ModelError, match=r"only in pickles \(pytorch_model.bin\).*allow_pickle: true"):
        check_hub(source)
    allowed = source.model_copy(update={"allow_pickle": True})
    check_hub(allowed)
    prepare_model(source=allowed, settings=TRAINING, model=tmp_path / "m")
    hub.shutdown()
    load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("file", "message"),
    [("model.safetensors", "has no weights in transformers' format"), ("adapter_config.json", "has an adapter beside")],
)
def test_a_hub_model_that_cannot_be_loaded_is_refused_before_its_weights_are_fetched(hub, file, message):
    (hub.folder / file).unlink() if (hub.folder / file).exists() else (hub.folder / file).write_text("{}")
    with pytest.raises(ModelError, match=message):
        check_hub(HubModel(source="hub", id="org/tiny", revision="main"))


@pytest.mark.parametrize(
    ("hub_id", "revision", "message"),
    [
        ("org/gated", "main", "is gated"),
        ("org/none", "main", "not on the hub"),
        ("org/tiny", "nowhere", "no such revision"),
    ],
)
def test_the_hub_says_no(hub, hub_id, revision, message):
    with pytest.raises(HubError, match=message):
        commit_of(hub_id, revision)


def test_no_network(hub):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(HubError, match=r"cannot be reached.*hf download"):
        snapshot("org/tiny", Hub.COMMIT, weights=True)
