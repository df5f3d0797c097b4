"""Every way in which a rule can come to read a key of params.yaml, and what it must then be said to read."""

import pytest

from freshness.reads import Rules

KEYS = ["seed", "models", "datasets", "factors", "arms", "draws", "title"]
COMMON = '''
STUDY = read_study(PARAMS)  # STUDY as a whole is no read of its own name
REFERENCE = STUDY.factors.reference
WILDCARDS = {
    "model": [*STUDY.models],
    "dataset": NAMES,
    "arm": [arm for arm in STUDY.arms],
}
NAMES = [*STUDY.datasets]
STATES = "artifacts/dump/{model}/{arm}.parquet"
LATER = {}


def exists(wildcards):
    return wildcards["arm"] in STUDY.factors.arms


def as_json(value):
    """Not a word of STUDY here; a `seed` of its own."""
    seed = value
    return [draws for draws in seed]


def title_of(draws):
    return lambda wildcards: STUDY.title


def twice(x):
    return title_of(x)


for path in [path for path in STUDY.title]:
    LATER[path] = 1
'''
RULE = """
# STUDY in a comment, and STUDY.seed, are none.
rule one:
    input: "artifacts/x.parquet",
    output: "artifacts/one/all.parquet",
    params:
        {}
    shell: "cat {{input}} > {{output}}"
"""
READ = {
    "nothing": ("x=1", []),
    "a value": ("x=STUDY.seed", ["seed"]),
    "in the order of params.yaml": ("x=[STUDY.draws, STUDY.seed]", ["seed", "draws"]),
    "a key of a key": ("x=STUDY.models.y.title", ["models"]),
    "a lambda": ("x=lambda wildcards: STUDY.draws", ["draws"]),
    "a lambda over two lines": ("x=lambda wildcards: (\n            STUDY\n            .draws)", ["draws"]),
    "a lambda in a call": ("x=as_json(lambda wildcards, input: [STUDY.models[wildcards.model]])", ["models"]),
    "a string": ('x="{STUDY.seed}"', ["seed"]),
    "an f-string": ("""x=f"{as_json({'a': STUDY.seed})} {len({1} | STUDY.draws)}" """, ["seed", "draws"]),
    "a constant": ("x=REFERENCE", ["factors"]),
    "a constant's constant": ("x=WILDCARDS", ["models", "datasets", "arms"]),
    "a constant that is filled later": ("x=LATER", ["title"]),
    "a function": ("x=title_of(1)", ["title"]),
    "a function's function": ("x=lambda wildcards: twice(1)", ["title"]),
    "a function that calls names by keys' names": ("x=as_json(1)", []),
    "another's param": ("path=1, seed=other.STUDYING, draws=x.title_of", []),
    "the whole study": ("x=lambda wildcards: given(STUDY)", KEYS),
    "any key": ("x=getattr(STUDY, name)", KEYS),
    "a wildcard": ('x="{dataset}"', ["datasets"]),
    "a wildcard of a shell": ('x="{wildcards.dataset}"', []),
    "wildcards that are combined": ('x="{model}/{dataset}"', ["models", "datasets", "factors"]),
    "wildcards of a constant": ("x=STATES", ["models", "factors", "arms"]),
}


def keys_read(folder, rule, common=COMMON):
    (folder / "common.smk").write_text(common)
    (folder / "one.smk").write_text(rule)
    return Rules(sorted(folder.glob("*.smk")), KEYS, exists="exists").keys_read("one")


@pytest.mark.parametrize("how", READ)
def test_a_key_is_found_however_a_rule_reads_it(tmp_path, how):
    param, expected = READ[how]
    assert keys_read(tmp_path, RULE.format(param)) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("if REFERENCE:\n    MINE = 1\nelse:\n    MINE = STUDY.seed", ["seed", "factors"]),
        ("try:\n    MINE = 1\nexcept Error:\n    MINE = STUDY.seed", ["seed"]),
        ("MINE = (yours := STUDY.seed)", ["seed"]),
        ("with open(STUDY.title) as MINE:\n    pass", ["title"]),
        ("for MINE in STUDY.draws:\n    pass", ["draws"]),
        ("MINE = []\nMINE.append(STUDY.seed)", ["seed"]),
        ("MINE = x()\nMINE.y = STUDY.seed", ["seed"]),
        ("@named\n@cached(\n    STUDY.seed\n)\ndef MINE(x=STUDY.draws):\n    pass", ["seed", "draws"]),
        ("class MINE:\n    x = STUDY.seed", ["seed"]),
        ("MINE = STUDY", KEYS),
        ("MINE = lambda REFERENCE: REFERENCE", []),
        ("MINE = [REFERENCE for REFERENCE in REFERENCE]", ["factors"]),
        ("def MINE():\n    return [REFERENCE for REFERENCE in []]", []),
        ("def MINE(REFERENCE=REFERENCE):\n    pass", ["factors"]),
    ],
)
def test_names_come_from_every_statement_that_makes_or_changes_them(tmp_path, statement, expected):
    assert keys_read(tmp_path, RULE.format("x=MINE"), COMMON + "\n\n" + statement + "\n") == expected
