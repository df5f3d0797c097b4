"""A plan held against what a small study, made by the stages, ran and left: tokens through the model, bytes on disk."""

from contextlib import contextmanager

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.cell import ARMS, DRAWS, QUERIES, Made, compare, make, patch
from tests.stage.test_lora import TUNING
from tests.unit.test_settings import params
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.lora.lessons import Teacher
from workflow_scripts.lib.lora.stack import Stack
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.plan.jobs import COMPARE, DUMP, PATCH, TUNE
from workflow_scripts.lib.plan.survey import survey
from workflow_scripts.lib.study.settings import check_study
from workflow_scripts.lib.tuning import full
from workflow_scripts.lib.tuning.prefix import TrainedPrefix

pytestmark = pytest.mark.stage


class Count:
    """Tokens, padding too, that embeddings were given within calls of some methods, by stage."""

    def __init__(self):
        self.tokens, self.now = {}, None

    def within(self, stage, method):
        def counted(*given, **named):
            before, self.now = self.now, stage
            try:
                return method(*given, **named)
            finally:
                self.now = before

        return counted

    @contextmanager
    def hooked(self):
        def see(module, args):
            if self.now and isinstance(module, nn.Embedding):
                self.tokens[self.now] = self.tokens.get(self.now, 0) + args[0].numel()

        hook = register_module_forward_pre_hook(see)
        yield
        hook.remove()


@pytest.fixture(scope="module")
def ran(tmp_path_factory, tiny_folder):
    """The cell of test_dump and the tokens that its stages ran, without what tries a model's ways."""
    count = Count()
    with pytest.MonkeyPatch.context() as patched, count.hooked():
        patched.setattr(Reader, "read", count.within(DUMP, Reader.read))
        patched.setattr(Stack, "losses", count.within(TUNE, Stack.losses))
        patched.setattr(TrainedPrefix, "loss", count.within(TUNE, TrainedPrefix.loss))
        patched.setattr(full, "_loss", count.within(TUNE, full._loss))
        patched.setattr(Teacher, "lessons", count.within(TUNE, lambda *given: iter([*LESSONS(*given)])))
        at = make(Made(tmp_path_factory.mktemp("ran")), LocalModel(source="local", path=tiny_folder))
        patched.setattr(Reader, "read", count.within(PATCH, READ))
        patch(compare(at))
    return at, count.tokens


LESSONS, READ = Teacher.lessons, Reader.read


@pytest.fixture(scope="module")
def jobs(tiny_folder):
    content = params() | {
        "models": {"model": {"source": "local", "path": str(tiny_folder)}},
        "datasets": {
            name: {"source": "world", "task": task} for name, task in (("data", "topic"), ("other", "sentiment"))
        },
        "imported": {"model": "an/adapter"},
        "factors": {"shots": [4]},
        "draws": DRAWS,
        "queries": QUERIES,
        "arms": [*ARMS],
        "prepare_dataset": {"pool": 20},
        "tune_lora": TUNING.model_dump(),
    }
    content["reference"]["shots"] = 4
    content["patch_hidden_states"]["patches"] = [one.name for one in PATCHES]
    found = survey(check_study(content, "params.yaml"))
    assert not found.notes
    return [job for job in found.jobs if job.dataset in ("data", "")]


@pytest.mark.parametrize("stage", [TUNE, DUMP, PATCH])
def test_tokens_are_those_that_ran(jobs, ran, stage):
    planned = sum(job.work.tokens for job in jobs if job.stage == stage)
    assert planned == pytest.approx(ran[1][stage], rel=0.2)


@pytest.mark.parametrize("stage", [TUNE, DUMP, COMPARE, PATCH])
def test_bytes_are_those_on_disk(jobs, ran, stage):
    made = [path for path in (ran[0].folder / stage).rglob("*") if path.is_file()]
    planned = sum(job.work.disk for job in jobs if job.stage == stage)
    assert planned == pytest.approx(sum(path.stat().st_size for path in made), rel=0.2)
