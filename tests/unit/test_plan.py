"""What a study is said to cost, against sums made by hand and figures that were measured."""

import re
from dataclasses import replace

import pytest
from transformers import LlamaConfig

from tests.unit.test_settings import params
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.plan.arithmetic import Cost, Reading, Tuning, reading, tuning
from workflow_scripts.lib.plan.cards import CARDS, CardError, card_named
from workflow_scripts.lib.plan.costs import costs
from workflow_scripts.lib.plan.fits import too_large
from workflow_scripts.lib.plan.jobs import DUMP, TUNE, Job, Planned
from workflow_scripts.lib.plan.lengths import Lengths, OfSet, assumed
from workflow_scripts.lib.plan.machine import Machine, Rates
from workflow_scripts.lib.plan.published import shape
from workflow_scripts.lib.plan.survey import Survey
from workflow_scripts.lib.plan.work import Asked, Work, answered, asked, patched, read, states_on_disk, tuned
from workflow_scripts.lib.study.grid import Grid
from workflow_scripts.lib.study.settings import check_study

GIB = 2**30
# d 8, feed-forward 16, two layers, two heads of which one has keys and values, 50 words: all that follows is by hand.
SMALL = LlamaConfig(
    vocab_size=50,
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
)
LINEAR = 2 * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 16)  # q, k and v, o, and the three of the feed-forward
LORA = TuneLora(
    r=2,
    alpha=4,
    target_modules="attention",
    learning_rate=1e-3,
    steps=3,
    max_grad_norm=1,
    distilled_on=4,
    tokens_per_batch=64,
    adapters_at_once=8,
)
# A model of 10 FLOPs a token and 1 for each that it attends to, 100 for its head; 3 layers of 4 numbers.
MODEL = Reading(1000, 3, 4, 100, Cost(10, 1), 6)
TUNING = Tuning(Cost(20, 2), Cost(5, 0), 24, 4)


def test_a_forward_is_counted_as_by_hand():
    found = reading(SMALL)
    assert found.weights == LINEAR + 2 * 50 * 8 + 5 * 8  # embeddings and head, five norms
    assert found.flops.token == pytest.approx(2 * LINEAR)
    assert found.flops.attended == pytest.approx(2 * 2 * 2 * 8)  # scores and values, of two layers
    assert (found.layers, found.width, found.head, found.cache) == (3, 8, 2 * 50 * 8, 2 * 2 * 4)


def test_a_forward_and_back_is_counted_as_by_hand():
    found = tuning(SMALL, LORA)
    adapters = 2 * (2 * (8 + 8) + 2 * (8 + 4))  # query and value of two layers
    assert found.weights == adapters
    # Back through every frozen product but those of the first block's inputs, and twice through the adapters.
    assert 2 * (2 * LINEAR - 3 * 8 * 8) <= found.flops.token <= 4 * LINEAR + 6 * adapters
    assert found.kept.token > 2 * (8 + 16)


@pytest.mark.stage
def test_what_is_counted_for_7b_is_what_was_measured():
    """design's figures for LLaMA-2 7B: 13.5 GB in 16 bits, 8 MiB of activations a token in tuning, 5.5 s a step."""
    config, settings = shape("meta-llama/Llama-2-7b-hf"), LORA.model_copy(update={"r": 8})
    model, cost, card = reading(config), tuning(config, settings), card_named("H200")
    assert model.weights == 6_738_415_616
    assert cost.kept.token * 4 / 2**20 == pytest.approx((92 - 44) * 1024 / (8192 - 2048), rel=0.2)
    reads = read(model, [Asked(636, (33,) * 200)], (1,), sharing=True)
    assert reads.flops / card.rate("float32", "read") == pytest.approx(2.9, rel=0.1)
    step = cost.flops.of(8882, 8882 * 37)
    assert step / card.rate("float32", "tune") == pytest.approx(5.5, rel=0.1)


def test_answers_are_scored_and_written_in_runs_of_their_own():
    every = [Asked(10, (5, 5))]
    reads, scores = (10 + 10, 100 + 2 * 5 * 15, 2), (10 + 14, 100 + 2 * 7 * 17, 2 * 3)  # tokens, attended, of the head
    silent = answered(MODEL, every, 3, 0, sharing=True)
    assert (silent.tokens, silent.passes) == (20 + 24, 2 + 2)
    assert silent.flops == sum(10 * tokens + attended + 100 * head for tokens, attended, head in (reads, scores))
    written = answered(MODEL, every, 3, 4, sharing=True)  # three tokens after the first, at 16, 17 and 18
    assert (written.tokens, written.passes) == (silent.tokens + 20 + 2 * 3, 2 + 2 + 2 + 3 * 2)
    after = 10 * 6 + 2 * (16 + 17 + 18) + 100 * 6
    assert written.flops == silent.flops + 10 * 20 + reads[1] + 100 * 2 + after
    whole = answered(MODEL, every, 3, 4, sharing=False)
    assert whole.tokens == 2 * (15 + 17 + 15 + 16 + 17 + 18)


def test_queries_share_a_prefix_or_do_not():
    every = [Asked(7, (2, 3))]
    shared = read(MODEL, every, (1, 1), sharing=True)
    assert (shared.tokens, shared.flops) == (12, 10 * 12 + 49 + 2 * 9 + 3 * 10 + 2 * 100)
    whole = read(MODEL, every, (1, 1), sharing=False)
    assert (whole.tokens, whole.flops) == (19, 10 * 19 + 81 + 100 + 2 * 100)


def test_a_label_of_several_tokens_runs_after_every_query():
    found = read(MODEL, [Asked(7, (2, 3))], (1, 3), sharing=True)
    assert found.tokens == 7 + (2 + 3) + (4 + 5)


AT = Lengths([OfSet(7, (2, 3), (4, 5)), OfSet(9, (2, 3), (4, 6))], 1, (2, 3), 2.5, 9, (1, 1), 1, counted=True)


@pytest.mark.parametrize(
    ("given", "shows", "expected"),
    [
        (False, False, [Asked(1, (2, 3))]),
        (True, True, [Asked(7, (2, 3)), Asked(9, (2, 3))]),
        (True, False, [Asked(1, (2, 3)), Asked(1, (2, 3))]),
    ],
)
def test_an_arm_runs_what_it_shows(given, shows, expected):
    assert asked(AT, given=given, shows=shows) == expected


def test_tuning_is_every_step_and_a_last_look():
    found = tuned(MODEL, TUNING, AT, LORA, trains="lora", taught=False, kept=2)
    tokens, squares = 4 + 5 + 4 + 6, 16 + 25 + 16 + 36
    assert found.tokens == 4 * tokens
    step = 20 * tokens + 2 * squares + 2 * 100 * 4
    assert found.flops == 3 * step + (10 * tokens + squares + 100 * 4)
    assert found.disk == 3 * (2 * (24 * 4 + 4 * 125 + 1200) + 4400)


def test_whole_models_and_prefixes_are_as_large_as_they_are():
    whole, prefix = (tuned(MODEL, TUNING, AT, LORA, trains=one, taught=False, kept=0) for one in ("model", "prefix"))
    assert whole.disk == 2 * (4 * 1000 + 6 * 125 + 1200) + 4400
    assert prefix.disk == 4 * 6 * (7 + 9) + 2 * (6 * 125 + 1200) + 4400
    forward, past = 10 * 19 + 93 + 100 * 4, 7 * 9 + 9 * 10
    assert whole.flops == (3 * 3 + 1) * forward
    assert prefix.flops == 3 * (20 * 19 + 2 * (93 + past) + 2 * 100 * 4) + forward + past
    assert prefix.memory < whole.memory


def test_imitations_are_taught_first():
    plain, taught = (tuned(MODEL, TUNING, AT, LORA, trains="lora", taught=one, kept=0) for one in (False, True))
    assert taught.tokens - (7 + 9 + 8 * 2) == 4 * 8 * (1 + 2)  # what teachers read; pupils of four texts of two tokens
    assert taught.host > plain.host


def test_patched_runs_are_a_token_each():
    found = patched(MODEL, AT, layers=3, arms=2, patches=4)
    assert found.tokens == 3 * 2 * 2 * 4 * 2 + (2 + 3)


def test_fewer_layers_and_float16_take_less_disk():
    every = [Asked(7, (3,) * 1000)]
    model = MODEL._replace(width=1000)
    whole, fewer, half = (
        states_on_disk(model, every, kept, storage, 2)
        for kept, storage in (((0, 1, 2), "float32"), ((2,), "float32"), ((0, 1, 2), "float16"))
    )
    assert whole == pytest.approx(1000 * 2 * 1000 * 4 * 0.87, rel=0.05)
    assert fewer == pytest.approx(whole / 2, rel=0.05)
    assert half == pytest.approx(whole / 2, rel=0.05)


def test_texts_out_of_reach_are_assumed_for_every_setting():
    content = params() | {"draws": 3, "queries": 7}
    study = check_study(content, "params.yaml")
    grid = Grid(study.factors, study.varied, study.arms, study.models)
    found = assumed(study, grid)
    assert found.keys() == grid.settings.keys()
    assert [len(one.sets) for one in (found["reference"], found["shots-1"])] == [3, 3]
    assert found["shots-16"].sets[0].shown == 1 + 16 * 40
    assert not found["reference"].counted


def test_cards_are_known_by_name():
    assert card_named("h100").gigabytes == 80
    with pytest.raises(CardError, match="--gpu abacus: unknown; known are H200, H100"):
        card_named("abacus")


def planned(weights, dtype="float32"):
    source = type("Source", (), {"source": "hub", "dtype": dtype})()
    model = MODEL._replace(weights=weights)
    return Planned(source, model, {"attention/8": TUNING}, Rates(1e-9, 1e-9, True), sharing=True, published=False)


def found_too_large(work, stage=TUNE, weights=1e9, dtype="float32", disk=1e12, memory=1e15):
    found = Survey({"big": planned(weights, dtype)}, [Job(stage, "big", "data", "reference", work)], [])
    study = check_study(params(), "params.yaml")
    return [*too_large(study, found, CARDS[1], Machine(2, memory, disk))]


def test_products_by_parts_are_planned_between_half_and_float32():
    settings = ({"dtype": "float32"}, {"dtype": "float32", "precision": "split"}, {"dtype": "bfloat16"})
    sources = (type("Source", (), {"source": "hub", **one})() for one in settings)
    whole, parts, half = (replace(planned(1e9), source=one) for one in sources)
    assert (whole.bytes, parts.bytes, half.bytes) == (4e9, 2e9, 2e9)
    for work in ("read", "tune"):
        slow, between, fast = (CARDS[0].rate(one.arithmetic, work) for one in (whole, parts, half))
        assert slow < between < fast


def test_what_fits_is_not_told():
    assert not found_too_large(Work(memory=1e9, disk=1e9))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"work": Work(), "weights": 30e9},
            r"models.big: weights of 111.8 GiB in float32.*precision to split \(55.9 GiB",
        ),
        ({"work": Work(memory=200e9)}, r"tune_lora takes 208.6 GiB.*set tune_lora.tokens_per_batch to 640 \(is 2048\)"),
        ({"work": Work(memory=200e9), "stage": DUMP}, r"dump_hidden_states takes .*tokens_per_batch to 64"),
        (
            {"work": Work(disk=5e12), "stage": DUMP},
            r"artifacts of 5000.0 GB.*layers to \{every: 4\} \(states of 1250.0 GB",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_the_setting_to_change(given, told):
    (line,) = found_too_large(**given)
    assert re.search(told, line), line


def test_what_this_machine_does_not_hold_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (line,) = found_too_large(Work(memory=20e9), memory=16e9)
    assert "tune_lora takes" in line
    assert "14.9 GiB are free here; run it where there is one, or lower tune_lora.tokens_per_batch" in line


def test_costs_are_sums_and_the_largest_memory():
    jobs = [Job(TUNE, "big", "data", "reference", Work(10, 1e9, disk=5, memory=m * GIB)) for m in (1, 3)]
    found = costs(jobs, {"big": planned(0)}, CARDS[0])
    assert (found.jobs, found.tokens, found.flops, found.disk) == (2, 20, 2e9, 10)
    assert found.gpu == pytest.approx(3.3 * GIB)
    assert found.on_core == pytest.approx(2 * (0.1 + 1), rel=0.01)
