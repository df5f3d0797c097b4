"""The report's page: one file of HTML with its style and figures inside, so that it opens offline.

The template is a Python string because an artifact's code digest covers modules, and must change when it does.
"""

import re
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from workflow_scripts.lib.report.style import STYLE


def page(**content: Any) -> str:
    """The page; StrictUndefined refuses a template that names what `content` does not hold."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(style=Markup(STYLE), **content)


def inline_svg(svg: str, name: str, label: str) -> Markup:
    """An SVG file's text as an element of the page: it scales, has a label, and its ids are unique in the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'((?:id|xlink:href)="#?|url\(#)(?=[\w-])', rf"\g<1>{name}-", body)
    width = float(re.search(r'width="([\d.]+)pt"', body)[1]) * 4 / 3  # type: ignore[index]
    body = re.sub(r'(?:width|height)="[\d.]+pt" ', "", body, count=2)
    size = f'style="width: 100%; max-width: {width:.0f}px; min-width: {0.75 * width:.0f}px"'
    attributes = Markup('<svg role="img" aria-label="{}" ').format(label) + Markup(size)
    return Markup(body.replace("<svg", attributes, 1))


TEMPLATE = """\
{% macro numbers(table) %}
<p class="caption">{{ table.caption }}</p>
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
<td>{{ cell.value }}{% for line in cell.beneath %}<span class="beneath">{{ line }}</span>{% endfor %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="question">Does showing a language model demonstrations in its prompt (in-context learning, ICL) change its
hidden states in the way that tuning the model on the same demonstrations (instruction tuning, IT) does?
For each query we compare the state at the last prompt token in three arms: the query alone (anchor), demonstrations
and then the query (ICL), and the query alone on the model tuned on those demonstrations (IT). What ICL and IT add to
the anchor's state can be alike because of the task, of the query, or of these demonstrations: only the last is what the
question asks.</p>

<h2>Answer</h2>
<div class="answer"><p><span class="verdict">{{ answer.verdict }}</span> {{ answer.summary }}</p></div>
{% for paragraph in answer.paragraphs %}
<h3>{{ paragraph.heading }}</h3>
<ul class="points">
{% for point in paragraph.points %}<li><b>{{ point.about }}</b> {{ point.text }}</li>
{% endfor %}</ul>
{% endfor %}

<h2>At the reference setting</h2>
<p>Reference setting: {{ setting }}; last layer. Beneath a mean stands its {{ confidence }} interval over draws, beneath
a difference also its test.</p>
{% for table in tables %}
{{ numbers(table) }}
{% endfor %}

<h2>Over layers</h2>
{% for drawing in layers %}
<figure><div class="scroll">{{ drawing.svg }}</div>
<figcaption>{{ drawing.caption }}</figcaption></figure>
{% endfor %}

{% for drawing, table in patched %}
<h2>States put into the anchor's run</h2>
<p>The anchor's run goes on from a state of an arm in place of its own, at the last prompt token of one layer: states
that are alike need not do alike. At the last layer the arm's own state gives the arm's answers, and at the embeddings
the anchor's, by construction. A set's direction is added to the anchor's state; what another draw's does as well is not
these demonstrations'.</p>
<figure><div class="scroll">{{ drawing.svg }}</div>
<figcaption>{{ drawing.caption }}</figcaption></figure>
{{ numbers(table) }}
{% endfor %}

<h2>Over the levels of each factor</h2>
{% for factor, drawing, table in factors %}
<h3>{{ factor }}</h3>
<figure><div class="scroll">{{ drawing.svg }}</div>
<figcaption>{{ drawing.caption }}</figcaption></figure>
{{ numbers(table) }}
{% endfor %}

<h2>How to read it</h2>
<dl>
{% for term, meaning in glossary %}
<dt>{{ term }}</dt>
<dd>{{ meaning }}</dd>
{% endfor %}
</dl>

<h2>The paper's and ours</h2>
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

<h2>Provenance</h2>
<ul class="points">
{% for model, text in models.items() %}<li><b>{{ model }}</b> {{ text }}</li>
{% endfor %}</ul>
<div class="scroll" tabindex="0" role="region" aria-label="provenance">
<table class="provenance">
<thead><tr><th class="text">stage</th><th class="text">code</th><th class="text">settings</th>
<th class="text">libraries</th></tr></thead>
<tbody>
{% for stage, made in provenance.items() %}
<tr><th>{{ stage }}</th><td class="text"><code>{{ made.code }}</code></td>
<td class="text"><code>{{ made.settings }}</code></td><td class="text">{{ made.libraries }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p class="small">Code and settings are digests: equal digests mean equal code and equal settings.</p>
</body>
</html>
"""
