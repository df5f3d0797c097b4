"""The report's style sheet: plain, narrow text, wide tables that scroll, and a page that prints."""

STYLE = """
:root { --ink: #1c1c1c; --soft: #5d5d5d; --rule: #d9d6cf; --wash: #f7f5f0; --mark: #D55E00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 80rem; color: var(--ink); background: #fff;
  font: 1.0625rem/1.6 Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, serif; }
h1, h2, h3, th, td, figcaption, .caption, .verdict, .small, .beneath, dt
  { font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; letter-spacing: -.01em; max-width: 46rem; }
h2 { font-size: 1.2rem; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, dl, ul { max-width: 46rem; }
p { margin: 0 0 .9rem; }
a { color: inherit; }
.question { color: var(--soft); }
.answer { background: var(--wash); border-left: 4px solid var(--mark); padding: 1.1rem 1.4rem; max-width: 50rem; }
.answer p { margin: 0; }
.verdict { font-weight: 700; }
.points { margin: .35rem 0 0; padding: 0; list-style: none; }
.points li { margin: 0 0 .45rem; padding-left: 9rem; position: relative; line-height: 1.5; font-size: 1rem; }
.points b { position: absolute; left: 0; max-width: 8.5rem; overflow-wrap: anywhere;
  font: 600 .85rem/1.8 "Helvetica Neue", Helvetica, Arial, sans-serif;
  color: var(--soft); }
.scroll { overflow-x: auto; margin: 0 0 1rem; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-size: .82rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
p.caption { margin: 0 0 .4rem; color: var(--soft); font-size: .85rem; }
th, td { padding: .35rem .5rem; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { font-weight: 600; border-bottom: 1px solid var(--ink); white-space: normal; vertical-align: bottom; }
thead tr:first-child th { border-bottom: 0; color: var(--soft); font-weight: 500; padding-bottom: 0; }
thead tr:first-child th[colspan]:not(:empty) { text-align: left; }
tbody th, th.text, td.text { text-align: left; }
tbody th { font-weight: 600; }
tbody tr { border-bottom: 1px solid #eceae5; }
th.first, td.first { padding-left: 1.1rem; }
.beneath { display: block; color: var(--soft); font-size: .72rem; font-weight: 400; }
.provenance td, .provenance th { white-space: normal; }
.provenance code { font-size: .78rem; }
figure { margin: 0 0 2rem; break-inside: avoid; }
figure svg { display: block; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; line-height: 1.5; max-width: 50rem; margin-top: .35rem; }
dt { font-weight: 600; font-size: .9rem; margin-top: .8rem; }
dd { margin: 0; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; font-size: 1rem; }
  h1 { font-size: 1.5rem; }
  .points li { padding-left: 0; }
  .points b { position: static; display: block; }
  th, td { padding: .35rem .5rem; }
}
@media print {
  @page { size: A4 landscape; margin: 14mm; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  .scroll { overflow: visible; break-inside: avoid; }
  p.caption { break-after: avoid; }
  .points li { font-size: 9.5pt; line-height: 1.4; }
  table { font-size: 7.5pt; }
  th, td { padding: .25rem .4rem; }
  .beneath { font-size: 6.5pt; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 1.5rem; }
  tr { break-inside: avoid; }
  figure svg { max-width: 100%; max-height: 135mm; width: auto !important; min-width: 0 !important; }
}
"""
