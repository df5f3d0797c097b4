"""What each word of the report means; arms, contrasts and measures say it themselves."""

from collections.abc import Iterator
from typing import NamedTuple

from workflow_scripts.lib.arms import ARMS, CEILINGS, FULL, PREFIX, Arm, Weights
from workflow_scripts.lib.measures import HEADLINE, MEASURES
from workflow_scripts.lib.measures.contrasts import (
    CONTRASTS,
    DIFFERENCES,
    OWN_DEMONSTRATION_EFFECT,
    OWN_QUERY_EFFECT,
    OWN_QUERY_EFFECT_SAME_LABEL,
)
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES
from workflow_scripts.lib.report.wording import PART_SAYS, begun
from workflow_scripts.lib.study.factors import FACTORS


class Entry(NamedTuple):
    """A term, or several that belong together, and what it means."""

    term: str
    meaning: str


def glossary(confidence: str, method: str) -> list[Entry]:
    """The entries in reading order; `confidence` such as `95 %`, `method` the intervals'."""
    return [*_words(), *_comparisons(), *_measures(), *_statistics(confidence, method)]


def _words() -> Iterator[Entry]:
    yield Entry(
        "Query, demonstration, shots",
        "A query is an example that the model is asked about; a demonstration is another example with its label. The "
        "number of demonstrations is the number of shots.",
    )
    yield Entry(
        "Set, draw",
        "A set is one ordered choice of demonstrations as they are shown; a draw is the number of a random choice. All "
        "queries are asked with the same sets, and draws are what is repeated. Only at the levels of the factor "
        "relevance that choose demonstrations by the query each query has sets of its own: there another query comes "
        "with its own set, another draw's set is the one for the same query, and the reference is measured on those "
        "queries too.",
    )
    yield Entry(
        "Factor, level, reference",
        "A factor is what is varied, a level is one of its values; everything else stays at the reference setting. A "
        "cell is a model, a data set and a factor; a case is a model on a data set.",
    )
    yield Entry("Factors", "; ".join(f"{factor.name}: {factor.says}" for factor in FACTORS) + ".")
    yield Entry("Arm", "A way of giving a model a set: " + "; ".join(_arm(arm) for arm in ARMS) + ".")
    yield Entry(
        "State, layer",
        "The residual stream at the last prompt token, the one that predicts the answer, or at levels of the factor "
        "position elsewhere in the query. Layer 0 is the embeddings, each further layer the output of a block, and the "
        "last one is taken after the final norm.",
    )
    yield Entry("Update", "What an arm adds to the anchor's state of the same query: h less h_A.")


def _arm(arm: Arm) -> str:
    shows = "demonstrations and the query" if arm.shows else "the query alone"
    if arm.of_another:
        shows = "as many tokens of another task's demonstrations, and the query"
    model = "the model with an adapter that was tuned elsewhere" if arm.imported else _model(arm.weights)
    return f"{arm.heading} ({shows}, {model})"


def _model(weights: Weights | None) -> str:
    if weights and weights.trains == PREFIX.trains:
        return "the base model with the demonstrations' keys and values tuned from what they are in ICL"
    if weights and weights.trains == FULL.trains:
        return "the model with all weights tuned"
    if weights and weights.teacher:
        return f"a model tuned to imitate itself with the set shown {weights.teacher.replace('_', ' ')}"
    return "the tuned model" if weights else "the base model"


def _comparisons() -> Iterator[Entry]:
    yield Entry(
        "Contrast",
        "Two arms and how their states are matched: "
        + "; ".join(contrast.heading for contrast in CONTRASTS)
        + ". All but the first are controls. Another draw is every other one, averaged; another query is one with the "
        "same or another gold label; a random direction is as long as the other arm's update.",
    )
    less = [f"{one.heading} ({one.of.heading} less {one.less.heading})" for one in DIFFERENCES]
    yield Entry(
        "Difference",
        f"Taken within each draw: {'; '.join(less)}. Only the {OWN_DEMONSTRATION_EFFECT.heading} speaks of these "
        "demonstrations: what remains with another draw is the task's. The answer is stated in the "
        f"{HEADLINE.heading}.",
    )
    yield Entry(
        "Patch",
        "What is put into the anchor's run in place of its state: "
        + "; ".join(patch.heading for patch in PATCHES)
        + ". A direction is the mean of what a set adds to the states of all other queries; another query has another "
        "gold label, and another draw is the next one. Taken within each draw: "
        + "; ".join(one.heading for one in PATCH_DIFFERENCES)
        + ", of measures that ask for the draw's own set; in others both have one mean by construction, and the figure "
        "shows one of them.",
    )
    again = "; ".join(f"{arm.heading} with {other.heading}" for arm, other in CEILINGS)
    yield Entry("Ceiling", f"An arm and the same once more ({again}): two arms can hardly be more alike than that.")
    says = "; ".join(f"{name} is {says}" for name, says in PART_SAYS.items())
    yield Entry(
        "Parts of the update similarity",
        f"Every update is split in four: {says}. The pooled {HEADLINE.heading}, taken over all sets and queries at "
        "once, is the sum of the four contributions. With another draw's set general and query are left of it: set and "
        "interaction together are its own-demonstration effect. With another query general and set are left, and what "
        "the two queries' own parts have in common. Over all queries those sum to zero, so that those of queries with "
        f"different labels oppose each other: {OWN_QUERY_EFFECT.heading} is more than query and interaction, with two "
        f"labels up to twice as much. {begun(OWN_QUERY_EFFECT_SAME_LABEL.heading)} is less than they are by what "
        "queries of a label have in common. Alignment is the cosine of the two arms' parts, the share what a part has "
        "of an arm's squared update. All are free of the upward bias of few draws, and so may come out below zero, or "
        "not at all.",
    )


def _measures() -> Iterator[Entry]:
    yield from (Entry(begun(measure.heading), f"{measure.formula}.") for measure in MEASURES)
    yield from (Entry(begun(measure.heading), f"{measure.formula}.") for measure in PATCH_MEASURES)
    yield Entry(
        "Within the noise",
        "The anchor is run again where the same states should come out (each query alone; for a model of lower "
        "precision also in float32). Noise of an arm at 1: the update is no longer than the noise. Shared noise is the "
        "update cosine that noise alone would give, because both updates have the anchor's noise in them. What noise "
        "would give is marked so; already at some tenths of the update's length, noise makes two directions look less "
        "alike than they are.",
    )


def _statistics(confidence: str, method: str) -> Iterator[Entry]:
    yield Entry(
        "Interval, band",
        f"A value is a mean over queries, then over draws. A {confidence} interval says how far that mean would vary "
        f"with other draws ({method}); a single draw has none. Queries are taken as they are. A band holds all layers "
        "at once. In the answer a difference counts where its interval leaves out zero, or two intervals do not "
        "overlap; of many cases some do so by chance.",
    )
    yield Entry(
        "p, Holm p",
        "Of the hypothesis that a difference is zero in the mean over draws: signs of the draws' differences are "
        "flipped. Holm p is corrected for the number of a factor's levels.",
    )
    yield Entry(
        "Excluded, not moved",
        "A state that did not change has no direction of change: it is left out of what is measured of updates and "
        "counted (the largest of the counts). Adapters that did not move, or whose loss did not fall, are counted, and "
        "stay in.",
    )
