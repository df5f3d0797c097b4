"""What others found or asked, and what this study shows of each.

A claim is a row of `CLAIMS` and a function of what was found of a case (lib/report/looks.py). Where a study lacks what
a claim needs, or a claim is beyond any single study of small models, that is what is said.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from workflow_scripts.lib.report import looks
from workflow_scripts.lib.report.cases import cases
from workflow_scripts.lib.report.findings import Finding, findings
from workflow_scripts.lib.report.seen import Seen
from workflow_scripts.lib.report.wording import begun, listed
from workflow_scripts.lib.results.results import Results
from workflow_scripts.lib.study.grid import BY_QUERY

FIRST = "the first figure"
Whose = Literal["paper", "reviewers", "later work"]


class Claim(NamedTuple):
    """What was said or asked, by whom, how a case is looked at, and the sections of the report that show it."""

    about: str
    says: str
    whose: Whose
    look: Callable[[Finding], Seen]
    where: tuple[str, ...]


CLAIMS = (
    Claim(
        "Similarity",
        "ICL and IT states are alike (a cosine of about .9 on LLaMA-2) while both are far from the anchor (Fig. 3a)",
        "paper",
        looks.alike_and_far,
        ("Layers",),
    ),
    Claim("Labels", "wrong labels matter little (Fig. 3b)", "paper", looks.flipped_labels, ("Factor: labels",)),
    Claim(
        "Task",
        "with demonstrations of another task all three states are alike (Fig. 3c)",
        "paper",
        looks.another_task,
        ("Factor: task",),
    ),
    Claim(
        "Relevance",
        "ICL and IT are more alike, the more alike demonstrations and query are (Fig. 4)",
        "paper",
        looks.relevance,
        (f"Factor: {BY_QUERY}",),
    ),
    Claim(
        "Shots",
        "ICL and IT are more alike with more demonstrations (Fig. 5)",
        "paper",
        looks.more_shots,
        ("Factor: shots",),
    ),
    Claim("Layers", "their similarity changes over layers", "paper", looks.over_layers, ("Layers",)),
    Claim("Size", "13B shows no clear trend against 7B (Fig. 8)", "paper", looks.beyond_one_size, (FIRST,)),
    Claim("Accuracy", "what is each arm's accuracy?", "reviewers", looks.accuracies, ("Behaviour",)),
    Claim(
        "Anchor and shots",
        "how does the anchor's similarity to ICL change with the number of demonstrations?",
        "reviewers",
        looks.anchor_over_shots,
        ("Factor: shots",),
    ),
    Claim(
        "Same easy answer",
        "are the states alike because both arms give the same answer?",
        "reviewers",
        looks.same_answer,
        ("Behaviour",),
    ),
    Claim("Instruction", "does the wording of the prompt matter?", "reviewers", looks.template, ("Factor: template",)),
    Claim(
        "Tuning",
        "does it depend on what is tuned and how strongly?",
        "reviewers",
        looks.tuning,
        ("Factor: strength", "Factor: modules", "Factor: rank"),
    ),
    Claim(
        "Tuning path",
        "at which moment of tuning is IT most like ICL, and is it then ICL's twin?",
        "reviewers",
        looks.path,
        ("The path of tuning",),
    ),
    Claim(
        "Other ways of tuning", "is it the same without LoRA?", "reviewers", looks.without_lora, ("Arms and ceilings",)
    ),
    Claim(
        "Other tokens",
        "is it the same at other tokens than the last?",
        "reviewers",
        looks.other_tokens,
        ("Factor: position",),
    ),
    Claim(
        "Its own demonstrations",
        "is it these demonstrations that ICL acts like tuning on, or their task?",
        "later work",
        looks.own_demonstrations,
        (FIRST,),
    ),
    Claim("Training", "untrained models show as much of it (Deutch et al.)", "later work", looks.untrained, (FIRST,)),
    Claim(
        "Imitation",
        "a change of weights can act like these demonstrations in the prompt",
        "later work",
        looks.imitation,
        ("Arms and ceilings",),
    ),
)


class Told(NamedTuple):
    """A claim, in how many cases what is shown of it, and the numbers of each case."""

    claim: Claim
    outcome: str
    by_case: list[tuple[str, Seen]]


def told(results: Results, controls: Mapping[str, str | None]) -> Iterator[Told]:
    """Every claim with what all studied cases show of it."""
    found = findings(cases(results, controls))
    for claim in CLAIMS:
        seen = [(f"{one.case.model}, {one.case.dataset}", claim.look(one)) for one in found]
        yield Told(claim, _outcome([one for _, one in seen]), seen)


def _outcome(seen: Sequence[Seen]) -> str:
    counts = Counter(one.verdict for one in seen)
    if len(counts) == 1:
        return begun(next(iter(counts)))
    return begun(listed([f"{verdict} in {count} of {len(seen)}" for verdict, count in counts.most_common()]))
