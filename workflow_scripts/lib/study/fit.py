"""Whether every prompt of a study can be asked of a model: its texts, tokens and lengths, at every setting."""

from collections.abc import Mapping, Sequence

from workflow_scripts.lib.arms import PREFIX, named
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import Demonstration
from workflow_scripts.lib.data.shown import SHOWN, beside
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.settings import back
from workflow_scripts.lib.models.context import context_length
from workflow_scripts.lib.study.grid import REFERENCE
from workflow_scripts.lib.study.material import Material, Shown
from workflow_scripts.lib.study.model_checks import CheckedModel, trains
from workflow_scripts.lib.study.preview import Look
from workflow_scripts.lib.study.prompt_checks import Asked, answers, asked, check_answers, check_prompts, embedded
from workflow_scripts.lib.study.settings import Study
from workflow_scripts.lib.study.trial import try_prefix


class ContextError(StudyError):
    """A prompt that a model's context cannot hold, or that lacks the token at which a state is to be taken."""


def fits(study: Study, model: CheckedModel, read: Material) -> dict[str, Look]:
    """The reference's prompts, and those of every other template, if those of every setting are as they must be."""
    prompts = prompts_by_setting(model, read)
    _check_texts(study, model, read, prompts)
    most = study.dump_hidden_states.new_tokens
    lengths = {setting: _longest(prompts[setting], read, shown, most) for setting, shown in read.shown.items()}
    context = context_length(model.config)
    longest = max(lengths, key=lengths.__getitem__)
    if context is not None and lengths[longest] > context:
        raise ContextError(
            f"the longest prompt ({longest}) has {lengths[longest]} tokens and the context holds {context}; "
            "use fewer shots or shorter texts"
        )
    _check_positions(study, [len(prompts[REFERENCE.name].query(one.fields)) for one in read.examples.queries])
    if model.copy and trains(study, PREFIX):
        before = max(len(prompts[REFERENCE.name].prefix(one.set.demonstrations)) for one in read.reference.sets)
        try_prefix(model.copy, study.tune_lora, before, lengths[REFERENCE.name])
    others = [setting for setting, shown in read.shown.items() if shown.template != read.reference.template]
    arms = named(study.arms)
    everywhere = [arm for arm in arms if arm.everywhere]
    looks = {f" at {setting}": Look(prompts[setting], read, everywhere) for setting in others}
    return {"": Look(prompts[REFERENCE.name], read, arms)} | looks


def _check_positions(study: Study, lengths: Sequence[int]) -> None:
    for position in study.factors.levels().get("position", []):
        if back(position) >= min(lengths):
            raise ContextError(
                f"factors.position: {position} is no token of the shortest query, which has {min(lengths)} tokens"
            )


def prompts_by_setting(model: CheckedModel, read: Material) -> dict[str, Prompts]:
    """Setting -> its prompts; settings with the same wording share them."""
    by_wording: dict[str, Prompts] = {}
    found = {}
    for setting, shown in read.shown.items():
        wording = repr([shown.template, shown.told])
        if wording not in by_wording:
            by_wording[wording] = Prompts(model.tokenizer, shown.template, read.examples.words, shown.told)
        found[setting] = by_wording[wording]
    return found


def _check_texts(study: Study, model: CheckedModel, read: Material, prompts: Mapping[str, Prompts]) -> None:
    """Check every text that stands in a prompt of any setting, once for each wording."""
    texts: dict[Prompts, dict[str, Asked]] = {}
    told: dict[Prompts, dict[str, str]] = {}
    for setting, shown in read.shown.items():
        for task, own in ((None, prompts[setting]), *prompts[setting].others.items()):
            texts.setdefault(own, {}).update((repr(one), one) for one in asked(read.examples, shown.sets, task))
            if own.generation:
                told.setdefault(own, {}).update(answers(read.examples, shown.sets, task))
    if read.other:
        at_reference = prompts[REFERENCE.name]
        own, in_place = at_reference.others[read.other.name], _in_place(study, read, at_reference)
        texts[own].update((one.id, (one.id, one.fields)) for one in in_place)
        if own.generation:
            told.setdefault(own, {}).update((one.label, one.id) for one in in_place)
    for own, some in texts.items():
        check_prompts(own, list(some.values()), embedded(model.config))
        check_answers(own, told.get(own, {}), embedded(model.config))


def _in_place(study: Study, read: Material, prompts: Prompts) -> list[Demonstration]:
    """What arms show of another task in the place of the reference's sets."""
    at_hand = beside(read.other, read.examples.queries, prompts.length)
    ways = [SHOWN[arm.shows] for arm in named(study.arms) if arm.of_another and arm.shows]
    return [one for way in ways for each in read.reference.sets for one in way(each.set, at_hand)]


def _longest(prompts: Prompts, read: Material, shown: Shown, new_tokens: int) -> int:
    """Tokens of a setting's longest prompt with its label, or in generation its answer or as much as may be written."""
    queries = read.examples.queries
    asked_for = {one.id: len(prompts.query(one.fields)) for one in queries}
    whole = (
        len(prompts.prefix(each.set.demonstrations)) + max(asked_for[one.id] for one in each.asked(queries))
        for each in shown.sets
    )
    follows = [len(prompts.learnt(word)) - 1 for word in read.examples.words or {one.label for one in queries}]
    return max(whole) + max(*follows, new_tokens if prompts.generation else 0)
