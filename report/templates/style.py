"""The style sheet of every page: light and dark, phone, print."""

STYLE = """
:root {
  --page: #f6f7f8; --card: #ffffff; --ink: #17202b; --soft: #55606e; --line: #dde2e8;
  --accent: #005b8f; --good: #00684a; --bad: #a8390b; --warn: #7a5200;
  --good-ground: #e8f4ef; --bad-ground: #fcefe9; --warn-ground: #fbf3e0; --same-ground: #eef1f4;
  --training: #a86400;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #11151a; --card: #1a2027; --ink: #e6eaee; --soft: #a3aeba; --line: #323b46;
    --accent: #6cbdf0; --good: #5fd0a5; --bad: #ff9b73; --warn: #f0c25e;
    --good-ground: #15302a; --bad-ground: #3a2119; --warn-ground: #332a14;
    --same-ground: #242c35; --training: #e69f00;
  }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.sheet { max-width: 1120px; margin: 0 auto; padding: 28px 24px 56px; }
a { color: var(--accent); }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 10px 0 6px; letter-spacing: -.015em; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0 0 4px; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 24px 0 8px; }
p { margin: 6px 0; max-width: 76ch; }
.soft, figcaption, caption { color: var(--soft); }
.small { font-size: .875rem; }
code { font: .86em ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 12px; top: 12px; background: var(--card); padding: 6px 12px; z-index: 2; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }

.brand { display: flex; align-items: center; gap: 9px; font-weight: 650; color: var(--soft); }
.brand svg { width: 30px; height: 22px; fill: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 12px 0 0;
  padding: 0; font-size: .92rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 22px 24px 24px; margin-top: 18px; }
.state { display: inline-block; font-size: .8rem; font-weight: 650; padding: 2px 11px;
  border-radius: 99px; vertical-align: middle; }
.good { color: var(--good); } .bad { color: var(--bad); } .same, .unknown { color: var(--soft); }
.state.good { background: var(--good-ground); } .state.bad { background: var(--bad-ground); }
.state.same { background: var(--same-ground); }

.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr));
  gap: 14px 20px; margin: 20px 0 0; }
.facts div { border-top: 2px solid var(--line); padding-top: 7px; }
.facts dt { font-size: .82rem; color: var(--soft); }
.facts dd { margin: 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums; }

.findings { display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr));
  gap: 16px; margin: 14px 0; }
.finding { border: 1px solid var(--line); border-left: 5px solid var(--soft); border-radius: 8px;
  padding: 14px 18px 16px; }
.finding.tone-good { border-left-color: var(--good); }
.finding.tone-bad { border-left-color: var(--bad); }
.finding h3 { margin: 0; font-size: .95rem; color: var(--soft); font-weight: 600; }
.answer { font-size: 1.22rem; font-weight: 680; margin: 2px 0 0; line-height: 1.3; }
.change { font-size: 1.75rem; font-weight: 680; letter-spacing: -.02em; margin: 8px 0 0;
  font-variant-numeric: tabular-nums; line-height: 1.2; }
.change .from { color: var(--soft); font-weight: 500; }
.track { display: block; width: 100%; max-width: 420px; height: auto; margin: 4px 0 2px; }
.track .rail { stroke: var(--line); stroke-width: 3; }
.track .way { stroke-width: 3; stroke: var(--soft); }
.track .was { fill: var(--card); stroke: var(--soft); stroke-width: 2; }
.track .is { fill: var(--soft); }
.tone-good .way, .tone-good .is { stroke: var(--good); fill: var(--good); }
.tone-bad .way, .tone-bad .is { stroke: var(--bad); fill: var(--bad); }
.note { border-radius: 8px; padding: 10px 16px; margin: 12px 0; background: var(--same-ground); }
.note.warn { background: var(--warn-ground); } .note.bad { background: var(--bad-ground); }
.note.bad, .note.warn { color: inherit; }
.note strong:first-child { color: var(--ink); }
.note p { margin: 2px 0; } .note ul, .note ol { margin: 4px 0; padding-left: 22px; }
.error { font-size: 1.08rem; font-weight: 600; color: var(--bad); margin: 10px 0; }

.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr));
  gap: 14px; }
figure { margin: 0; }
.plot { position: relative; border: 1px solid var(--line); border-radius: 8px; overflow: hidden;
  background: var(--card); }
.plot img { display: block; width: 100%; height: auto; aspect-ratio: 450 / 360; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.plot text { font-size: 13px; font-weight: 600; fill: var(--ink); text-anchor: middle;
  paint-order: stroke; stroke: var(--card); stroke-width: 3.5px; stroke-linejoin: round; }
figcaption { font-size: .92rem; margin: 0 0 5px; }
.drawing { display: block; width: 100%; max-width: 740px; height: auto; margin-top: 10px; }
.drawing.narrow { max-width: 460px; }
.legend { display: flex; flex-wrap: wrap; gap: 3px 18px; list-style: none; padding: 0;
  margin: 10px 0 0; font-size: .87rem; }
.legend svg { width: 11px; height: 11px; margin-right: 6px; }

.chart { display: block; width: 100%; max-width: 740px; height: auto; margin-top: 10px; }
.chart text { font-size: 12.5px; fill: var(--soft); }
.chart .grid { stroke: var(--line); } .chart .kept { stroke: var(--soft); stroke-dasharray: 4 4; }
.chart polyline { fill: none; stroke-width: 2.4; stroke-linejoin: round; }
.chart .validation { stroke: var(--accent); } .chart circle.validation { fill: var(--accent); }
.chart .training { stroke: var(--training); stroke-dasharray: 7 4; }
.chart circle.training { fill: var(--training); stroke-dasharray: none; }
.chart text.validation { fill: var(--accent); stroke: none; font-weight: 650; }
.chart text.training { fill: var(--training); stroke: none; font-weight: 650; }

.scroll { overflow-x: auto; margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: 0 0 7px; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; overflow-wrap: normal;
  border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; color: var(--soft); border-bottom: 2px solid var(--line);
  vertical-align: bottom; white-space: nowrap; }
tbody th { font-weight: 600; }
th .soft { font-weight: 400; }
thead th.number { white-space: normal; min-width: 4.2rem; }
.name { min-width: 9rem; max-width: 24rem; overflow-wrap: break-word; }
.text { min-width: 15rem; }
.share { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.number:last-child, th.number:last-child { padding-right: 2px; }
.group th { padding-top: 14px; color: var(--ink); }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 2px 0;
  cursor: pointer; text-align: inherit; }
th button::after { content: "↕"; opacity: .45; margin-left: 5px; font-weight: 400; }
th[aria-sort=ascending] button::after { content: "↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: "↓"; opacity: 1; }
.matrix td, .matrix th { padding: 6px 9px; }
.matrix th:first-child { position: sticky; left: 0; background: var(--card); padding-left: 0; }
.matrix .right { box-shadow: inset 0 0 0 2px var(--soft); }
.matrix .part { display: block; font-size: .78rem; }
.shade-1 { background: color-mix(in srgb, var(--accent) 7%, transparent); }
.shade-2 { background: color-mix(in srgb, var(--accent) 14%, transparent); }
.shade-3 { background: color-mix(in srgb, var(--accent) 22%, transparent); }
.shade-4 { background: color-mix(in srgb, var(--accent) 32%, transparent); }
.shade-5 { background: color-mix(in srgb, var(--accent) 42%, transparent); }
.fields { list-style: none; margin: 0; padding: 0; min-width: 13rem; }
.fields li { margin-bottom: 2px; line-height: 1.4; }
.fields .soft { font-size: .84rem; }
.bar { width: 130px; height: 10px; } .bar rect { fill: var(--accent); }
.bar .rest { fill: var(--line); }
footer { margin-top: 22px; color: var(--soft); font-size: .87rem; }

@media (max-width: 560px) {
  .sheet { padding: 16px 12px 40px; }
  section { padding: 16px 14px 18px; }
  h1 { font-size: 1.45rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .change { font-size: 1.45rem; }
  .plot text { font-size: 14.5px; }
  .scores th, .scores td { padding-right: 4px; }
  .chart text { font-size: 18px; }
  table { font-size: .8rem; }
  th, td { padding-right: 7px; }
  .name { min-width: 6.2rem; }
  thead th.number { min-width: 0; }
}
@media print {
  @page { size: A4; margin: 14mm; }
  body { background: none; font-size: 10pt; }
  .sheet { max-width: none; padding: 0; }
  section { border: 0; border-top: 1.5pt solid var(--line); border-radius: 0; padding: 12pt 0 0; }
  nav, .skip { display: none; }
  h2, h3, caption { break-after: avoid; }
  tr, figure, .finding, .note, .chart { break-inside: avoid; }
  h2 + p { break-after: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  table { font-size: 8.2pt; }
  th, td { padding-right: 7pt; overflow-wrap: break-word; }
  .name, .fields, .text, thead th.number { min-width: 0; }
  thead th { white-space: normal; }
  .number { white-space: normal; }
  .scores .number { white-space: nowrap; }
  th button::after { content: ""; }
  .pair { grid-template-columns: repeat(2, 1fr); }
  .state, .note, .plot, .bar, .matrix td { -webkit-print-color-adjust: exact;
    print-color-adjust: exact; }
}
"""
