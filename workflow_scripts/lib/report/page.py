"""The report's page: one file of HTML with its style, script, figures and numbers inside, so that it opens offline.

The template is a Python string because an artifact's code digest covers modules, and must change when it does.
"""

from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from workflow_scripts.lib.report.script import SCRIPT
from workflow_scripts.lib.report.style import STYLE


def page(*, bundle: str, data: str, **content: Any) -> str:
    """The page; StrictUndefined refuses a template that names what `content` does not hold.

    `bundle`: Vega, Vega-Lite and vega-embed; `data`: JSON that may stand in a <script>.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    scripts = {"bundle": bundle.replace("</script", "<\\/script"), "data": data, "script": SCRIPT, "style": STYLE}
    inside = {name: Markup(text) for name, text in scripts.items()}
    return environment.from_string(TEMPLATE).render(**inside, **content)


TEMPLATE = """\
{% macro numbers(table, open=False) %}
<details{{ " open" if open }}>
<summary>{{ table.caption }}</summary>
<div class="scroll" tabindex="0" role="region" aria-label="{{ table.caption }}">
<table>
<thead>
<tr><td colspan="{{ table.heads | length }}"></td>
{% for heading, columns in table.groups %}
<th class="first" scope="colgroup" colspan="{{ columns | length }}">{{ heading }}</th>
{% endfor %}</tr>
<tr>{% for heading in table.heads %}<th class="text" scope="col">{{ heading }}</th>{% endfor %}

{% for heading, columns in table.groups %}{% for column in columns %}
<th scope="col"{% if loop.first %} class="first"{% endif %}>{{ column }}</th>
{% endfor %}{% endfor %}</tr>
</thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for head in row.heads %}
<th scope="row" rowspan="{{ head.rows }}">{{ head.text }}
{%- if head.beneath %}<span class="beneath">{{ head.beneath }}</span>{% endif %}</th>
{% endfor %}
{% for cell in row.cells %}
<td{% if cell.value | length > 20 %} class="text"{% endif %}>{{ cell.value }}
{%- for line in cell.beneath %}<span class="beneath">{{ line }}</span>{% endfor %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
{% endmacro %}
{% macro drawn(section) %}
{% for drawing in drawings if drawing.section == section %}
<figure data-figure="{{ drawing.name }}">
<h3>{{ drawing.title }}</h3>
<div class="still">{{ drawing.svg }}</div>
<div class="live" hidden></div>
<p class="nothing note" hidden>Nothing of this was measured for this choice.</p>
<figcaption><b>{{ drawing.says }}</b> {{ drawing.caption }}</figcaption>
<details class="values" hidden><summary>Values</summary>
<div class="scroll" tabindex="0" role="region" aria-label="values of {{ drawing.title }}"></div></details>
</figure>
{% endfor %}
{% for table in tables if table.section == section %}
{{ numbers(table.table) }}
{% endfor %}
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="question">Does showing a language model demonstrations in its prompt (in-context learning, ICL) move its
hidden states as tuning it on the same demonstrations (instruction tuning, IT) does, and more than tuning on others
would?</p>
<p class="answer"><span class="verdict">{{ answer.verdict }}</span> {{ answer.summary }}
{% if answer.lacks %}<span class="note">{{ answer.lacks }}</span>{% endif %}</p>
<nav aria-label="sections">
{% for name, heading in sections %}<a href="#{{ name }}">{{ heading }}</a>
{% endfor %}</nav>
</header>
<main>
<form id="choices" hidden aria-label="what figures show">
{% for choice in choices %}
<label>{{ choice.says }} <select name="{{ choice.name }}" autocomplete="off">
{% for value, word in choice.options %}<option value="{{ value }}">{{ word }}</option>
{% endfor %}</select></label>
{% endfor %}
</form>
<section id="answer">
{{ drawn("answer") }}
{{ numbers(outcomes, True) }}
{% if cut %}<p class="note">{{ cut }}</p>{% endif %}
<details><summary>In words, model by model</summary>
<p>{{ answer.made_of }}</p>
{% for paragraph in answer.paragraphs %}
<h3>{{ paragraph.heading }}</h3>
<ul class="points">
{% for point in paragraph.points %}<li><b>{{ point.about }}</b> {{ point.text }}</li>
{% endfor %}</ul>
{% endfor %}
</details>
<p class="note">Reference setting: {{ setting }}; last layer unless chosen otherwise. Beneath a mean stands its
{{ confidence }} interval over draws, beneath a difference also its test.</p>
</section>
{% for name, heading, intro, _ in bodies %}
<section id="{{ name }}">
<h2>{{ heading }}</h2>
{% if intro %}<p>{{ intro }}</p>{% endif %}
{{ drawn(name) }}
{% if name == "prompts" %}
<p class="key small">
{% for kind in kinds %}<span style="--part: {{ kind.colour }}">{{ kind.name }}</span> {% endfor %}</p>
<p class="small">Arms that show another task are not here: <code>make check</code> prints their prompts, with the
model's tokens.</p>
{% for dataset, some in prompts %}
<details{{ " open" if loop.first }}><summary>{{ dataset }}</summary>
{% for prompt in some %}
<p class="small">{{ prompt.arms }}: {{ prompt.weights }}</p>
<pre>{% for one in prompt.stretches %}
<span style="--part: {{ one.kind.colour }}">{{ one.text }}</span>{% endfor %}</pre>
{% endfor %}
</details>
{% endfor %}
{% endif %}
</section>
{% endfor %}

<section id="provenance">
<h2>Provenance</h2>
<ul class="points">
{% for model, text in models.items() %}<li><b>{{ model }}</b> {{ text }}</li>
{% endfor %}</ul>
<div class="scroll" tabindex="0" role="region" aria-label="provenance">
<table class="provenance">
<thead><tr><th class="text" scope="col">stage</th><th class="text" scope="col">code</th>
<th class="text" scope="col">settings</th><th class="text" scope="col">libraries</th></tr></thead>
<tbody>
{% for stage, made in provenance.items() %}
<tr><th scope="row">{{ stage }}</th><td class="text"><code>{{ made.code }}</code></td>
<td class="text"><code>{{ made.settings }}</code></td><td class="text">{{ made.libraries }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p class="small">Code and settings are digests: equal digests mean equal code and equal settings. How long each rule
took is in the page that <code>snakemake --report</code> writes: it differs from run to run, and this page does not.</p>
<h3>The paper's and ours</h3>
<p>The question, the three states (anchor, ICL, IT), the last token, the cosine and the sweep over layers are those of
Duan et al., <i>Exploring the Relationship between In-Context Learning and Instruction Tuning</i>
(<a href="https://arxiv.org/abs/2311.10367">arXiv 2311.10367</a>). It reports, for LLaMA-2, an ICL-IT similarity of
about 0.9 with both states far from the anchor. Rec2FTP is Dai et al.'s
(<a href="https://arxiv.org/abs/2212.10559">arXiv 2212.10559</a>).</p>
<p>Every number on this page is ours, and so are the prompts, the tuning settings, the order of averaging, the parts of
the update similarity, the controls (another draw's set, another query, a random direction
{%- if controls %}, the untrained model{% endif %}), the ceilings, every measure but the cosine, and the intervals and
tests. As far as we know the paper shows none of these controls. On other models and data it is a study of the same
question and not a replication.</p>
</section>

<section id="glossary">
<h2>How to read it</h2>
<dl>
{% for term, meaning in glossary %}
<dt>{{ term }}</dt>
<dd>{{ meaning }}</dd>
{% endfor %}
</dl>
</section>
</main>
<script id="page-data" type="application/json">{{ data }}</script>
<script>{{ bundle }}</script>
<script>{{ script }}</script>
</body>
</html>
"""
