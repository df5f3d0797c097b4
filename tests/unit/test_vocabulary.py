"""One word for one thing: stages and report take the names of arms, contrasts and measures from their rooms."""

import ast
import re
from pathlib import Path

import pytest

from workflow_scripts.lib.arms import ARMS
from workflow_scripts.lib.measures import MEASURES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow_scripts"
PATCHED = (*PATCHES, *PATCH_DIFFERENCES, *PATCH_MEASURES)
NAMED = {row.name for row in (*ARMS, *CONTRASTS, *DIFFERENCES, *MEASURES, *PATCHED)}
OLD = {"pair", "pairs", "condition", "conditions"}
OTHERS = {"object_pairs_hook"}  # what libraries call what they take
ELSEWHERE = {"pocket", "world"}  # where pairs are dimensions that rotary embedding turns, or a text and its label


def path_of(path):
    return str(path.relative_to(ROOT))


def strings(tree):
    """String constants, with their lines."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def identifiers(tree):
    """Every name that the code gives or takes, with its line."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname", "rest"):
            if isinstance(name := getattr(node, field, None), str):
                yield getattr(node, "lineno", 0), name


def words(name):
    """`LabelCondition` and `label_condition` -> label, condition."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def literals(code):
    return [text for _, text in strings(ast.parse(code)) if text in NAMED]


def old_words(code):
    tree = ast.parse(code)
    told = [name for _, name in identifiers(tree) if words(name) & OLD and name not in OTHERS]
    return told + [text for _, text in strings(tree) if text in OLD]


@pytest.mark.parametrize(
    "path", [*sorted(SCRIPTS.glob("*.py")), *sorted((SCRIPTS / "lib" / "report").rglob("*.py"))], ids=path_of
)
def test_no_stage_or_report_module_names_an_arm_a_contrast_or_a_measure(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"{path_of(path)}:{line}: {text}" for line, text in strings(tree) if text in NAMED] == []


@pytest.mark.parametrize(
    "path", sorted(path for path in SCRIPTS.rglob("*.py") if path.parent.name not in ELSEWHERE), ids=path_of
)
def test_no_identifier_or_column_is_called_by_an_old_word(path):
    assert old_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code", ['at("icl")', 'match = "own-other-draw"', 'x = {"cosine": 1}', 'f(measure="accuracy")']
)
def test_a_literal_name_is_seen(code):
    assert literals(code)


@pytest.mark.parametrize(
    "code",
    [
        "pair = 1",
        "def f(conditions): ...",
        "x.pair",
        "f(pairs=2)",
        'row["condition"]',
        "import a as pair",
        "PAIR_STYLES = 1",
        "class LabelCondition: ...",
    ],
)
def test_an_old_word_is_seen(code):
    assert old_words(code)


def test_other_words_are_not():
    assert old_words("from itertools import pairwise\nrepaired = unconditional = 'a pair of arms'") == []
    assert literals("x = 'the cosine of ICL'") == []
