"""What became of a data set's rows: what one looks at before anything is made of it."""

from collections import Counter
from dataclasses import dataclass

from workflow_scripts.lib.data.examples import Example, Examples


@dataclass(frozen=True)
class Summary:
    """Rows by what became of them: those read are those removed, by reason, and those kept.

    `read` is by the split, file or task that rows are of; `labels` of pool and queries are in the order of indices. A
    generation task has `answers` instead: how many different ones, and how many in all.
    """

    read: dict[str, int]
    removed: dict[str, int]
    labels: dict[str, dict[str, int]]
    longest: Example
    answers: dict[str, tuple[int, int]]

    def lines(self) -> list[str]:
        """The summary as a person reads it."""
        read = ", ".join(f"{count:,} of {name}" for name, count in self.read.items())
        removed = ", ".join(f"{count:,} {reason}" for reason, count in self.removed.items() if count) or "none"
        kept = [f"{split}: {sum(some.values()):,} ({_counted(some)})" for split, some in self.labels.items()]
        kept += [
            f"{split}: {every:,} ({different:,} different answers)"
            for split, (different, every) in self.answers.items()
        ]
        characters = sum(map(len, self.longest.fields.values()))
        return [
            f"rows read: {read}",
            f"removed: {removed}",
            *kept,
            f"longest text: {characters:,} characters ({self.longest.id})",
        ]

    def notes(self) -> list[str]:
        """What is allowed and one would want to know: label words that the pool or the queries lack."""
        lacking = {split: [word for word, count in some.items() if not count] for split, some in self.labels.items()}
        return [
            f"{split}: none of the {sum(self.labels[split].values()):,} examples has label {', '.join(words)}"
            for split, words in lacking.items()
            if words
        ]


def summed_up(examples: Examples, read: dict[str, int], removed: dict[str, int]) -> Summary:
    """The summary of prepared examples."""
    splits = {"pool": examples.pool, "queries": examples.queries}
    counts = {split: Counter(one.label for one in some) for split, some in splits.items()}
    labels, answers = {}, {}
    if examples.generation:
        answers = {split: (len(found), found.total()) for split, found in counts.items()}
    else:
        labels = {split: {word: found[word] for word in examples.words} for split, found in counts.items()}
    every = [*examples.pool, *examples.queries]
    longest = max(every, key=lambda one: sum(map(len, one.fields.values())))
    return Summary(read, removed, labels, longest, answers)


def _counted(labels: dict[str, int]) -> str:
    return ", ".join(f"{label} {count:,}" for label, count in labels.items())
