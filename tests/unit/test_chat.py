"""Prompts in the turns of a chat template: the ids that the tokenizer gives the text that the template itself makes."""

import pytest

from tests.hand_tokenizers import byte_level, chat, llama
from workflow_scripts.lib.data.chat import in_turns
from workflow_scripts.lib.data.examples import Wording
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import Demonstration
from workflow_scripts.lib.data.template import Rewording, Template
from workflow_scripts.lib.data.tokens import TokenizerError

CHATML = (
    "{% for one in messages %}<|im_start|>{{ one.role }}\n{{ one.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A space before answers that a prompt does not end with; BOS, which the tokenizer puts there too; no system message.
INST = (
    "{{ bos_token }}{% for one in messages %}{% if one.role == 'user' %}[INST] {{ one.content | trim }} [/INST]"
    "{% elif one.role == 'assistant' %} {{ one.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
TEMPLATE = Template(query="Review: {text}\nLabel:", chat=True)
SHOWN = [Demonstration("a", {"text": "very good"}, "positive", "positive")]
QUERY = {"text": "fine {film}"}


def with_chat(tokenizer, text):
    tokenizer.chat_template = text
    return tokenizer


def rendered(tokenizer, *turns, system=()):
    roles = ["user", "assistant"] * len(turns)
    messages = [*({"role": "system", "content": one} for one in system)]
    messages += [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


ASKED = ("Review: very good\nLabel:", "positive", "Review: fine {film}\nLabel:")


@pytest.mark.parametrize("instruction", ["", "text of the system\n\n"])
def test_demonstrations_are_turns_and_the_query_is_the_last_message(instruction):
    tokenizer = with_chat(chat(), CHATML)
    template = TEMPLATE.model_copy(update={"instruction": instruction})
    prompts, system = Prompts(tokenizer, template, ["positive", "negative"]), [instruction.strip()] * bool(instruction)
    assert prompts.prefix(SHOWN) + prompts.query(QUERY) == rendered(tokenizer, *ASKED, system=system)
    assert prompts.prefix() + prompts.query(QUERY) == rendered(tokenizer, ASKED[2], system=system)
    learnt = prompts.completion(SHOWN[0])
    assert learnt.prompt == rendered(tokenizer, ASKED[0], system=system)
    assert tokenizer.decode(learnt.label) == "positive"


def test_what_the_tokenizer_puts_before_a_text_stands_once_and_a_space_before_answers_is_the_labels():
    tokenizer = with_chat(llama(), INST)
    prompts = Prompts(tokenizer, TEMPLATE, ["positive", "negative"])
    ids = prompts.prefix(SHOWN) + prompts.query(QUERY)
    assert ids == rendered(tokenizer, *ASKED)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert prompts.template.label == " {label}"


def test_demonstrations_of_another_task_are_told_in_the_same_turns():
    tokenizer = with_chat(chat(), CHATML)
    told = {"other": Wording(Template(query="text: {text}", label=" -> {label}"), ["x", "text"])}
    prompts = Prompts(tokenizer, TEMPLATE, ["positive", "negative"], told)
    one = Demonstration("b", {"text": "film"}, "x", "x", "other")
    expected = rendered(tokenizer, "text: film", "-> x", ASKED[2])
    assert prompts.prefix([one]) + prompts.query(QUERY) == expected


def test_the_setting_is_a_part_of_a_template_that_can_be_put_otherwise():
    own = Template(query="{text}:")
    assert not own.chat
    assert own.reworded(Rewording(chat=True)).chat
    assert own.reworded(Rewording(chat=True)).query == own.query


@pytest.mark.parametrize(
    ("tokenizer", "template", "says"),
    [
        (byte_level(), TEMPLATE, "the tokenizer has no chat template"),
        (with_chat(llama(), INST), TEMPLATE.model_copy(update={"instruction": "x"}), "only user and assistant"),
        (with_chat(chat(), "{{ messages[0].content | upper }}"), TEMPLATE, "does not give a message once and as it is"),
        (
            with_chat(chat(), "{% for one in messages %}{{ one.role }}:{{ one.content }}{% endfor %}now:"),
            TEMPLATE,
            "puts 'assistant:' before an answer, and asks for one with 'now:'",
        ),
    ],
    ids=["none", "no system", "other text", "other answers"],
)
def test_chat_templates_that_cannot_be_used_say_why(tokenizer, template, says):
    with pytest.raises(TokenizerError, match=says):
        in_turns(tokenizer, template)


def test_a_template_that_tells_the_date_is_the_same_on_any_day():
    tokenizer = with_chat(chat(), "{{ strftime_now('%d %b %Y') }}\n" + CHATML)
    assert in_turns(tokenizer, TEMPLATE).instruction == "01 Jan 2024\n"
