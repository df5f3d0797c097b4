"""What one looks at before a run: one prompt of each arm, the tokens of the labels, and what is odd about either."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from workflow_scripts.lib.arms import Arm
from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import DemonstrationSet
from workflow_scripts.lib.data.shown import NOTHING, SHOWN, Beside, beside, reordered, shuffled_labels
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.results.permutation import FEWEST_TESTED, least_p
from workflow_scripts.lib.study.material import Material
from workflow_scripts.lib.study.prompt_checks import Asked, answers, asked

HEAD, TAIL = 700, 500  # characters of a long prompt that are shown
FEW = 10  # words that are named, of many


class Look(NamedTuple):
    """What one looks at: prompts of a model and a data set in one template, and the arms that have such."""

    prompts: Prompts
    read: Material
    arms: Sequence[Arm]


def show(data: Mapping[str, Material], looks: Mapping[str, Look], *, draws: int, new_tokens: int, brief: bool) -> None:
    """Say what is odd about draws, data sets and prompts of every model and data set; if not brief, how all look.

    `new_tokens`: the most that a greedy answer of a generation task has.
    """
    _say("draws", [], about_draws(draws))
    for name, read in data.items():
        _say(f"datasets.{name}", [] if brief else read.summary.lines(), read.summary.notes())
    for key, (prompts, read, arms) in looks.items():
        given = read.reference.sets
        at_hand = beside(read.other, read.examples.queries, prompts.length)
        told = preview(prompts, read.examples.queries[0], given[0].set, arms, at_hand)
        notes = [*warnings(prompts, asked(read.examples, given)), *as_drawn_too(arms, [each.set for each in given])]
        if prompts.generation:
            notes += about_answers(prompts, answers(read.examples, given), new_tokens)
        _say(key, [] if brief else told, notes)


def about_draws(draws: int) -> Iterator[str]:
    """A line where there are too few for a test."""
    if draws < 2:
        yield "one draw has no interval and allows no test"
    elif draws < FEWEST_TESTED:
        yield f"{draws} draws allow no test: p is at least {least_p(draws):.2g}, whatever is found; {FEWEST_TESTED} do"


def _say(key: str, shown: Iterable[str], notes: Iterable[str]) -> None:
    if lines := [*shown, *(f"note: {line}" for line in notes)]:
        log("\n  ".join([f"{key}:", *lines]))


def preview(
    prompts: Prompts, query: Example, given: DemonstrationSet, arms: Sequence[Arm], at_hand: Beside = NOTHING
) -> Iterator[str]:
    """Lines: the tokens of labels or of the answer, the query's prompt in each arm after that set, what is tuned on."""
    yield from _labels(prompts.labels or {query.label: prompts.learnt(query.label)}, prompts)
    for shows, some in _by_prompt(arms).items():
        ids = prompts.prefix(SHOWN[shows](given, at_hand) if shows else ()) + prompts.query(query.fields)
        last = prompts.tokenizer.convert_ids_to_tokens(ids[-1])
        yield f"prompt of {', '.join(arm.name for arm in some)}: {len(ids)} tokens, states at the last one, {last!r}"
        yield from _text(prompts, ids)
    learnt = prompts.completion(given.demonstrations[0])
    what = "answer" if prompts.generation else "label"
    yield f"tuned on such: {len(learnt.prompt)} tokens, and the {what}'s {len(learnt.label)} are learnt"
    yield from _text(prompts, learnt.prompt + learnt.label)


def warnings(prompts: Prompts, examples: Sequence[Asked]) -> Iterator[str]:
    """A line for each thing that is allowed and that one would want to know."""
    if prompts.ending and not prompts.generation:
        ending = prompts.tokenizer.decode(prompts.ending)
        yield f"one label begins with another: every label is scored and learnt with {ending!r} after it"
    if prompts.merged:
        yield (
            f"the tokenizer merges the end of `query` with the label ({_some(prompts.merged)}), and prompts have "
            "them apart; a space between them belongs to `label`"
        )
    if prompts.template.query.endswith(" "):
        yield (
            "`query` ends with a space, so that states are taken at a token for it; most tokenizers have the space in "
            "the word that follows: leave it to `label`"
        )
    for words in () if prompts.generation else _sharing_first(prompts):
        yield f"labels {', '.join(words)} begin with the same token: measures of label directions take them for one"
    yield from _texts(prompts, examples)


def as_drawn_too(arms: Sequence[Arm], sets: Sequence[DemonstrationSet]) -> Iterator[str]:
    """A line for each way of showing that is to differ from the set as it is drawn and, for some sets, does not.

    So at one shot, which has no other order, or where all labels of a set are one.
    """
    for way in (reordered, shuffled_labels):
        some = [arm.name for arm in arms if way.__name__ in (arm.shows, arm.weights.teacher if arm.weights else None)]
        alike = sum([*way(each)] == [*each.demonstrations] for each in sets) if some else 0
        if alike:
            yield f"{alike} of {len(sets)} sets have no other arrangement: there {', '.join(some)} is no control"


def about_answers(prompts: Prompts, told: Collection[str], new_tokens: int) -> Iterator[str]:
    """The same of the different answers of a generation task."""
    lengths = [len(prompts.learnt(answer)) for answer in told]
    cut = sum(length > new_tokens for length in lengths)
    if not new_tokens:
        yield "no answer is written: dump_hidden_states.new_tokens is 0, and answers have a log-probability alone"
    elif cut:
        yield (
            f"{cut} of {len(told)} answers have more tokens than may be written (dump_hidden_states.new_tokens is "
            f"{new_tokens}, the longest answer has {max(lengths)})"
        )
    unknown = sum(prompts.tokens.unknown in prompts.learnt(answer) for answer in told)
    if prompts.tokens.unknown is not None and unknown:
        yield f"{unknown} of {len(told)} answers hold words that the vocabulary lacks, and can never be written"


def _labels(labels: Mapping[str, Sequence[int]], prompts: Prompts) -> Iterator[str]:
    width, what = max(map(len, labels)), "answer" if prompts.generation else "label"
    for word, ids in labels.items():
        tokens = " ".join(map(str, prompts.tokenizer.convert_ids_to_tokens(ids)))
        yield f"{what} {word:{width}}  tokens {tokens}  ids {' '.join(map(str, ids))}"


def _some(words: Sequence[str]) -> str:
    more = len(words) - FEW
    return ", ".join(words[:FEW]) + (f" and {more} more" if more > 0 else "")


def _by_prompt(arms: Iterable[Arm]) -> dict[str | None, list[Arm]]:
    """Arms by how their prompts show a set: those together have the same prompts."""
    found: dict[str | None, list[Arm]] = defaultdict(list)
    for arm in arms:
        found[arm.shows].append(arm)
    return found


def _text(prompts: Prompts, ids: Sequence[int]) -> Iterator[str]:
    """The text that ids stand for, as the tokenizer reads it back; the middle of a long one is left out."""
    text = str(prompts.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    left_out = len(text) - HEAD - TAIL
    if left_out > 0:
        text = f"{text[:HEAD]} [... {left_out:,} characters ...] {text[-TAIL:]}"
    return (f"  | {line}" for line in text.split("\n"))


def _sharing_first(prompts: Prompts) -> list[list[str]]:
    by_first: dict[int, list[str]] = defaultdict(list)
    for word, ids in prompts.words.items():
        by_first[ids[0]].append(word)
    return [words for words in by_first.values() if len(words) > 1]


def _texts(prompts: Prompts, examples: Sequence[Asked]) -> Iterator[str]:
    """What values hold that means something in a prompt."""
    tokens, separator = prompts.tokens, prompts.template.separator
    added = {one.content for one in prompts.tokenizer.added_tokens_decoder.values() if not one.special}
    told: dict[str, Callable[[str], bool]] = {
        f"hold the separator {separator!r}, where a demonstration then seems to end": lambda text: (
            bool(separator) and separator in text
        ),
        "read like special tokens, and are taken for text": lambda text: any(
            mark in text for mark in tokens.special.values()
        ),
        "hold what the tokenizer has an added token for, and become that": lambda text: any(
            one in text for one in added if one.strip()
        ),
    }
    for what, holds in told.items():
        number = sum(any(map(holds, fields.values())) for _, fields in examples)
        if number:
            yield f"{number} of {len(examples)} texts {what}"
    unknown = [tokens.unknown in prompts.query(fields) for _, fields in examples]
    if any(unknown):
        yield f"{sum(unknown)} of {len(examples)} queries and demonstrations hold words that the vocabulary lacks"
