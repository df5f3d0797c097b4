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
{% macro numbers(table, caption) %}
<p class="caption">{{ caption }}</p>
<div class="scroll" tabindex="0" role="region" aria-label="{{ caption }}">
<table>
<thead>
<tr><th colspan="2"></th>
{% for group in table.groups %}<th class="first" colspan="{{ group.columns | length }}">{{ group.heading }}</th>
{% endfor %}</tr>
<tr><th class="text">model</th><th class="text">data set</th>
{% for group in table.groups %}{% for column in group.columns %}
<th{% if loop.first %} class="first"{% endif %}>{{ column }}</th>
{% endfor %}{% endfor %}</tr>
</thead>
<tbody>
{% for model, kind, dataset, setting, cells in table.rows %}
<tr><th>{{ model }}{% if kind %}<span class="beneath">{{ kind }}</span>{% endif %}</th>
<td class="text">{{ dataset }}<span class="beneath">{{ setting }}</span></td>
{% for cell in cells %}
<td>{{ cell.value }}{% if cell.beneath %}<span class="beneath">{{ cell.beneath }}</span>{% endif %}</td>
{% endfor %}</tr>
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
For each query we compare the state at the last prompt token in three conditions: the query alone (anchor),
demonstrations and then the query (ICL), and the query alone on the model tuned on those demonstrations (IT).</p>

<h2>Answer</h2>
<div class="answer"><p><span class="verdict">{{ verdict }}</span> {{ summary }}</p></div>
{% for paragraph in paragraphs %}
<h3>{{ paragraph.heading }}</h3>
<ul class="points">
{% for about, text in paragraph.points %}<li><b>{{ about }}</b> {{ text }}</li>
{% endfor %}</ul>
{% endfor %}

<h2>At the reference setting</h2>
{{ numbers(states, "States at the last layer. Beneath a mean stands its " ~ confidence ~ " interval over draws.") }}
{{ numbers(ground, "What these numbers rest on.") }}
{{ numbers(answers, "Answers at the same setting. The anchor has no demonstrations, hence no interval.") }}

<h2>Over layers</h2>
<figure><div class="scroll">{{ layers }}</div>
<figcaption>The three cosines over layers at the reference setting; bands are {{ confidence }} intervals over
draws.</figcaption></figure>

<h2>Over the levels of each factor</h2>
{% for factor, svg in factors %}
<h3>{{ factor }}</h3>
<figure><div class="scroll">{{ svg }}</div>
<figcaption>The three cosines at the last layer and, beneath, the accuracies of the three conditions within the label
set. Bars are {{ confidence }} intervals over draws; the shaded level is the reference.</figcaption></figure>
{% endfor %}

<h2>How to read it</h2>
<dl>
<dt>Query, demonstration, shot, draw</dt>
<dd>A query is an example that the model is asked about; a demonstration is another example with its label.
The number of demonstrations is the number of shots; a draw is one random choice of them.</dd>
<dt>Factor, level, reference</dt>
<dd>A factor is what is varied, a level is one of its values; everything else stays at the reference setting.
The setting of a row stands beneath its data set.</dd>
<dt>State, layer</dt>
<dd>The residual stream at the last prompt token, the one that predicts the answer. Layer 0 is the embeddings, each
further layer the output of a block, and the last one is taken after the final norm.</dd>
<dt>Cosine</dt>
<dd>The cosine between two conditions' states for the same query. High for all three pairs where nothing moved, hence
the margin: ICL-IT cosine less the larger anchor cosine, taken within each draw.</dd>
<dt>Update cosine</dt>
<dd>The cosine between what demonstrations add to the anchor state and what tuning adds to it, without normalising the
states first. Zero for unrelated changes, one for changes in the same direction.</dd>
<dt>Partial cosine</dt>
<dd>The cosine between the parts of the ICL and IT states that are orthogonal to the anchor state. What is left of
their similarity when the share that both have with the anchor is taken out.</dd>
<dt>Movement</dt>
<dd>The length of the change of the state over the length of the anchor state. Arms that moved by very different
amounts are compared at one arbitrary strength of tuning.</dd>
<dt>Noise</dt>
<dd>The anchor is run again where the same states should come out (each query alone, in another process; for a model of
lower precision also in float32). Of ICL, of IT: how far it then is from the anchor, over the length of the update: at 1
the update is no longer than the noise. Shared: the product of the two, which is the update cosine that noise alone
would give, because both updates have the anchor's noise in them. What noise would give is marked so; already at some
tenths of the update's length, noise makes two directions look less alike than they are.</dd>
<dt>Accuracy, open accuracy, agreement</dt>
<dd>Within the label set: the gold label is the likeliest of the labels; open: the likeliest token of the whole
vocabulary begins the gold label. Agreement: two conditions predict the same label, right or wrong; their states may be
alike only because both hold the same easy answer.</dd>
<dt>Intervals</dt>
<dd>A value is a mean over queries, then over draws. Intervals are a {{ confidence }} cluster bootstrap over draws
({{ method }}, {{ resamples }} resamples); a single draw has none. In the answer, a difference counts where its
interval leaves out zero, or two intervals do not overlap.</dd>
<dt>Excluded, not moved</dt>
<dd>A state that did not change has no direction of change: it is left out of update and partial cosine and counted
(the larger of the two counts). Adapters that tuning left as they were are counted, and stay in.</dd>
</dl>

<h2>The paper's and ours</h2>
<p>The question, the three states, the last token and the cosine are those of Duan et al., <i>Exploring the
Relationship between In-Context Learning and Instruction Tuning</i>
(<a href="https://arxiv.org/abs/2311.10367">arXiv 2311.10367</a>). It reports, for LLaMA-2, an ICL-IT similarity of
about 0.9 with both states far from the anchor.</p>
<p>Every number on this page is ours, and so are the prompts, the tuning settings, the order of averaging, the margin,
update cosine, partial cosine and movement, the noise, the accuracies beside the states, and the intervals
{%- if controls %}, and the untrained control{% endif %}. On other models and data it is a study of the same question
and not a replication.</p>

<h2>Provenance</h2>
<div class="scroll" tabindex="0" role="region" aria-label="provenance">
<table class="provenance">
<thead><tr><th class="text">stage</th><th class="text">code</th><th class="text">settings</th>
<th class="text">libraries</th></tr></thead>
<tbody>
{% for stage, code, settings, libraries in provenance %}
<tr><th>{{ stage }}</th><td class="text"><code>{{ code }}</code></td><td class="text"><code>{{ settings }}</code></td>
<td class="text">{{ libraries }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p class="small">Code and settings are digests: equal digests mean equal code and equal settings.</p>
</body>
</html>
"""
