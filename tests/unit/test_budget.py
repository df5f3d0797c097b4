import pytest
import torch

from workflow_scripts.lib.forward.budget import FIRST, MOST, ON_CPU, Budget


class Sized:
    """Memory that holds this many tokens."""

    def __init__(self, tokens):
        self.tokens, self.ran = tokens, None

    def restart(self):
        self.ran = 0

    def share(self):
        return self.ran / self.tokens


def run(budget, memory, tokens):
    with budget.watched(tokens):
        if memory.ran is not None:
            memory.ran = tokens


def grown(memory, fill=1.0, batches=20):
    budget = Budget("auto", memory)
    for _ in range(batches):
        run(budget, memory, int(budget.tokens * fill))
    return budget.tokens


def test_what_the_settings_say_is_what_runs():
    memory = Sized(10**9)
    budget = Budget(300, memory)
    run(budget, memory, 300)
    assert budget.tokens == 300
    assert memory.ran is None  # nothing is measured


def test_a_cpu_has_a_budget_of_its_own():
    assert Budget("auto", None).tokens == ON_CPU


def test_a_budget_grows_to_what_memory_holds_and_no_further():
    assert grown(Sized(6 * FIRST)) == 4 * FIRST  # eight times would not fit
    assert grown(Sized(FIRST)) == FIRST
    assert grown(Sized(10**9)) == MOST


def test_small_batches_teach_nothing():
    assert grown(Sized(10**9), fill=0.4) == FIRST


def test_what_did_not_fit_is_not_tried_again(capsys):
    memory = Sized(10**9)
    budget = Budget("auto", memory)
    with pytest.raises(torch.OutOfMemoryError), budget.watched(FIRST):
        raise torch.OutOfMemoryError
    budget.halve()
    for _ in range(5):
        run(budget, memory, budget.tokens)
    assert budget.tokens == FIRST // 2
    assert capsys.readouterr().err.count("out of memory: 2048 tokens a batch from here") == 1
