"""What docs/adding.md says, done in a clone: each addition is a function and a row, and makes nothing that is there."""

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.workflow.conftest import ROOT, copied

pytestmark = pytest.mark.workflow
COMPARED = {"compare_hidden_states": 2, "aggregate_similarity": 1, "render_report": 1}
BLOCKS = re.findall(
    r"```python\n# ([\w./]+)(?:, in (\w+))?\n(.*?)```", (ROOT / "docs/adding.md").read_text(), re.DOTALL
)


@pytest.fixture
def copy(small, tmp_path):
    """The made study, a copy for one test to add to."""
    return copied(small, tmp_path / "copy")


def add(clone, *files):
    """Do what the page's blocks on these files say, and on no other."""
    done = 0
    for name, row_of, text in BLOCKS:
        if name.endswith(files):
            path = clone.folder / name
            code = path.read_text()
            if row_of:
                at = re.search(rf"^{row_of}.*?= \(.*?(?=,?\n?\)\n)", code, re.M | re.S).end()
                path.write_text(f"{code[:at]},\n{text.rstrip()}{code[at:]}")
            else:  # a function stands after the types that it names, and before the lists that name it
                at = [*re.finditer(r"^class ", code, re.M), re.search(r"^def ", code, re.M)]
                place = at[-2].start() if len(at) > 1 else at[0].start()
                path.write_text(f"{code[:place]}{text}\n\n{code[place:]}")
            done += 1
    return done


def listed(clone, block, key, name):
    content = yaml.safe_load((clone.folder / "params.yaml").read_text())
    within = content[block] if key else content
    within[key or block].append(name)
    clone.params(**{block: content[block]})


def estimates(clone):
    return pq.read_table(clone.folder / "artifacts/aggregate_similarity/similarity.parquet").to_pandas()


def reported(clone):
    return (clone.folder / "artifacts/render_report/report.html").read_text()


def test_a_measure(copy):
    assert add(copy, "on_states.py", "measures/__init__.py") == 2
    listed(copy, "compare_hidden_states", "measures", "sign_cosine")
    assert copy.planned() == COMPARED
    copy.run("snakemake --cores 2")
    copy.quiet()
    rows = estimates(copy)
    found = rows[(rows.measure == "sign_cosine") & (rows.one == "icl") & (rows.other == "it") & (rows.layer == 4)]
    assert {"own", "other-draw", "other-query-same-label", "random", "own-other-draw"} <= set(found.match)
    (own,) = found[(found.match == "own") & (found.answers == "all") & (found.factor == "reference")]["mean"]
    states = copy.folder / "artifacts/dump_hidden_states/one/words/reference"
    icl, it = (np.stack(pq.read_table(states / f"{arm}.parquet")["layer_4"].to_pylist()) for arm in ("icl", "it"))
    assert own == pytest.approx((np.sign(icl) * np.sign(it)).mean(axis=1).mean(), abs=1e-9)
    assert "sign cosine" in reported(copy)


def test_a_contrast(copy):
    assert add(copy, "contrasts.py") == 2
    listed(copy, "compare_hidden_states", "contrasts", "next-draw")
    assert copy.planned() == COMPARED
    copy.run("snakemake --cores 2")
    copy.quiet()
    rows = estimates(copy)
    two = rows[(rows.one == "icl") & (rows.other == "it") & (rows.measure == "cosine") & (rows.answers == "all")]
    by_match = two.set_index(["factor", "level", "layer", "match"])["mean"].unstack()
    # With two draws the next is the only other.
    assert np.allclose(by_match["next-draw"], by_match["other-draw"], atol=1e-12)
    assert "the next draw" in reported(copy)


def test_a_factor(copy):
    assert add(copy, "study/factors.py") == 1
    factors = yaml.safe_load((copy.folder / "params.yaml").read_text())["factors"]
    copy.params(factors={**factors, "clipping": [0.1]})
    assert copy.planned() == {"tune_lora": 1, "dump_hidden_states": 1, **COMPARED, "compare_hidden_states": 1}
    copy.run("snakemake --cores 2")
    copy.quiet()
    rows = estimates(copy)
    assert set(rows[rows.factor == "clipping"].level) == {"0.1"}
    assert "clipping" in reported(copy)


def test_a_patch(copy):
    assert add(copy, "patches.py") == 2
    listed(copy, "patch_hidden_states", "patches", "twice-the-direction")
    assert copy.planned() == {"patch_hidden_states": 1, "aggregate_similarity": 1, "render_report": 1}
    copy.run("snakemake --cores 2")
    copy.quiet()
    rows = estimates(copy)
    found = rows[rows.match == "twice-the-direction"]
    assert set(found.other) == {"icl", "it"}
    assert set(found.layer) == set(range(5))
    assert "twice the set&#39;s direction" in reported(copy)


def test_an_arm(copy):
    assert add(copy, "arms.py") == 1
    listed(copy, "arms", None, "both-reordered")
    assert copy.planned() == {**COMPARED, "dump_hidden_states": 2}  # the reference and a level
    copy.run("snakemake --cores 2")
    copy.quiet()
    rows = estimates(copy)
    beside = {*rows[rows.other == "both-reordered"].one, *rows[rows.one == "both-reordered"].other.dropna()}
    assert beside == {"anchor", "icl", "it"}
    assert "ICL, reordered, and IT" in reported(copy)
