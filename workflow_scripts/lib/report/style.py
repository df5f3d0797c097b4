"""The report's style sheet: quiet type, a narrow measure, figures as wide as the page; light, dark and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #5a5a5a; --rule: #d9d6cf; --wash: #efedea; --ground: #fff;
  --mark: #c25100; --sans: Inter, "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e3; --soft: #a8a59f; --rule: #3d3c3a; --wash: #2a2927;
  --ground: #181817; --mark: #ff8b3d; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 4.5rem; }
body { margin: 0 auto; padding: 1.4rem 2rem 5rem; max-width: 78rem; color: var(--ink); background: var(--ground);
  font: 1rem/1.55 var(--sans); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.015em; font-weight: 650; }
h2 { font-size: 1.2rem; margin: 4rem 0 .4rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-weight: 650; }
h3 { font-size: .95rem; margin: 1.6rem 0 .3rem; font-weight: 600; }
p, dl, ul { max-width: 44rem; }
p { margin: 0 0 .8rem; }
h1, h2, h3, p, dd, dt, summary, figcaption, tbody th { overflow-wrap: anywhere; }
a { color: inherit; }
code { font-size: .85em; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
.question { color: var(--soft); max-width: 62rem; margin-bottom: .9rem; }
.answer { border-left: 3px solid var(--mark); padding: .1rem 0 .1rem 1rem; max-width: 62rem; margin: 0 0 1rem; }
.verdict { font-weight: 700; }
.note, .small { color: var(--soft); font-size: .85rem; }
nav { display: flex; flex-wrap: wrap; gap: 0 1.1rem; margin: 0 0 .3rem; font-size: .82rem; }
nav a { color: var(--soft); text-decoration: none; padding: .15rem 0; }
nav a:hover { color: var(--ink); text-decoration: underline; }
#choices { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .4rem 1rem; padding: .5rem 0;
  margin: 0; background: var(--ground); border-bottom: 1px solid var(--rule); }
#choices[hidden] { display: none; }
#choices label { display: flex; gap: .4rem; align-items: center; font-size: .8rem; color: var(--soft); min-width: 0; }
#choices select { font: inherit; color: var(--ink); background: var(--ground); border: 1px solid var(--rule);
  border-radius: 4px; padding: .15rem .3rem; max-width: 15rem; min-width: 0; text-overflow: ellipsis; }
figure { margin: 0 0 2.2rem; break-inside: avoid; min-width: 0; }
#answer figure > h3 { margin-bottom: 0; }
figure > h3 { margin-top: .8rem; }
.still svg, .live svg { display: block; max-width: 100%; height: auto; }
.live { width: 100%; overflow-x: auto; }
.live.vega-embed { display: block; padding: 0; }
.vega-embed > div { display: block; }
#vg-tooltip-element { font-family: var(--sans); font-size: .8rem; }
figcaption { color: var(--soft); font-size: .85rem; line-height: 1.45; max-width: 52rem; margin-top: .3rem; }
figcaption b { color: var(--ink); font-weight: 500; }
details { margin: .3rem 0 .8rem; }
summary { cursor: pointer; color: var(--soft); font-size: .85rem; width: fit-content; }
summary:hover { color: var(--ink); }
.scroll { overflow-x: auto; margin: .4rem 0 1rem; position: relative; }
table { border-collapse: collapse; font-size: .82rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; vertical-align: top; }
td { white-space: nowrap; }
thead th { font-weight: 600; border-bottom: 1px solid var(--ink); vertical-align: bottom; }
thead tr:first-child:not(:last-child) > * { border-bottom: 0; color: var(--soft); font-weight: 500;
  padding-bottom: 0; text-align: left; }
tbody th, th.text, td.text { text-align: left; }
tbody th { font-weight: 600; min-width: 8rem; max-width: 16rem; }
tbody tr { border-bottom: 1px solid var(--rule); }
th.first, td.first { padding-left: 1.3rem; }
td.text { white-space: normal; min-width: 9rem; }
.values td, .values th { text-align: left; }
.beneath { display: block; color: var(--soft); font-size: .75rem; font-weight: 400; }
.points { margin: .35rem 0 0; padding: 0; list-style: none; max-width: 54rem; }
.points li { margin: 0 0 .5rem; padding-left: 9rem; position: relative; font-size: .9rem; }
.points b { position: absolute; left: 0; max-width: 8.5rem; overflow-wrap: anywhere; color: var(--soft);
  font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .8rem/1.7 ui-monospace, "Liberation Mono", monospace;
  background: var(--wash); padding: .8rem 1rem; border-radius: 4px; margin: .3rem 0 1rem; }
pre span { border-bottom: 2px solid var(--part); padding-bottom: 1px; }
.key span { border-bottom: 2px solid var(--part); margin-right: 1rem; }
dt { font-weight: 600; font-size: .9rem; margin-top: .9rem; }
dd { margin: 0; font-size: .9rem; }
@media (max-width: 46rem) {
  body { padding: 1.2rem 1rem 3rem; }
  h1 { font-size: 1.35rem; }
  #choices { position: static; }
  .points li { padding-left: 0; }
  .points b { position: static; display: block; }
  html { scroll-padding-top: 1rem; }
}
@media print {
  @page { size: A4 landscape; margin: 14mm; }
  :root { --ink: #111; --soft: #555; --rule: #ccc; --wash: #f0f0ee; --ground: #fff; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  #choices, nav { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .scroll { overflow: visible; }
  table { font-size: 7pt; }
  th, td { padding: .2rem .3rem; }
  .beneath { font-size: 6pt; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 1.5rem; }
  tr { break-inside: avoid; }
  .still svg, .live svg { max-height: 150mm; }
}
"""
