"""Threads: one BLAS thread each, results in order, and what is read ahead."""

import threading

import pytest

from workflow_scripts.lib.measures import workers as module
from workflow_scripts.lib.measures.workers import workers


def test_numpys_own_threads_are_one_while_ours_work_and_are_given_back():
    found = module._openblas()
    if found is None:
        pytest.skip("numpy has another BLAS here; ends with a wheel of numpy, which has OpenBLAS")
    asked, told = found
    before = asked()
    try:
        told(2)
        with workers(2):
            assert asked() == 1
        assert asked() == 2
        with pytest.raises(ZeroDivisionError), workers(1) as some:
            some.each(lambda x: 1 / x, [1, 0])
        assert asked() == 2
    finally:
        told(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_their_items(threads):
    with workers(threads) as some:
        assert some.each(lambda x: x * x, range(50)) == [x * x for x in range(50)]
        assert list(some.ahead(lambda x: -x, range(5))) == [0, -1, -2, -3, -4]
        assert list(some.ahead(lambda x: x, [])) == []


def test_the_next_item_is_made_while_the_caller_is_at_one_and_no_further():
    made = [threading.Event() for _ in range(3)]

    def make(number):
        made[number].set()
        return number

    with workers(1) as some:
        for number in some.ahead(make, range(3)):
            if number < 2:
                assert made[number + 1].wait(timeout=10)
            assert not any(event.is_set() for event in made[number + 2 :])
