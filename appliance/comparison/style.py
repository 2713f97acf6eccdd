"""The style of a report, for screens in light and dark, and for paper."""

STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #fff; --a: #0b5cad; --b: #b3541e; --c: #2f7d4f;
  --d: #7a3e9d; --e: #8a6d00; --f: #a8325e; --both: #9aa4af; --neither: #d9dee3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --line: #30363d; --page: #0d1117;
  --a: #58a6ff; --b: #f0883e; --c: #3fb950; --d: #bc8cff; --e: #d29922; --f: #f778ba; --both: #6e7681;
  --neither: #30363d; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .3rem 1.5rem; margin: 0; }
dl div { display: flex; gap: .6rem; } dt { color: var(--soft); flex: none; } dd { margin: 0; overflow-wrap: anywhere; }
.note, small, figcaption { color: var(--soft); font-size: .85rem; }
.verdict { border-left: 4px solid var(--a); padding: .5rem .9rem; margin: 1rem 0; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; } tbody th { font-weight: 400; color: var(--soft); }
th small { display: block; font-weight: 400; } td small { white-space: nowrap; }
.documents { font-size: .85rem; } .documents td { overflow-wrap: anywhere; }
.documents td:first-child { max-width: 12rem; } .documents td:nth-child(2) { overflow-wrap: break-word; }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .4rem; }
figure { margin: 1.1rem 0; } figcaption { margin-bottom: .2rem; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 13px; fill: var(--ink); }
svg .tick { fill: var(--soft); font-size: 11px; } svg .grid { stroke: var(--line); }
svg .zero { stroke: var(--soft); stroke-width: 1.5; } svg .whisker { stroke-width: 3; stroke-linecap: round; }
.key.a { background: var(--a); } svg .a { stroke: var(--a); fill: var(--a); }
.key.b { background: var(--b); } svg .b { stroke: var(--b); fill: var(--b); }
.key.c { background: var(--c); } svg .c { stroke: var(--c); fill: var(--c); }
.key.d { background: var(--d); } svg .d { stroke: var(--d); fill: var(--d); }
.key.e { background: var(--e); } svg .e { stroke: var(--e); fill: var(--e); }
.key.f { background: var(--f); } svg .f { stroke: var(--f); fill: var(--f); }
svg .both { fill: var(--both); } svg .neither { fill: var(--neither); } svg .part { stroke: none; }
@page { margin: 18mm; }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --a: #0b5cad; --b: #b3541e; --c: #2f7d4f;
    --d: #7a3e9d; --e: #8a6d00; --f: #a8325e; --both: #9aa4af; --neither: #d9dee3; }
  body { font-size: 10pt; margin: 0; max-width: none; padding: 0; }
  h2, h3, figcaption { break-after: avoid; } figure, tr, .verdict, dl { break-inside: avoid; }
  thead { display: table-header-group; }
  svg, .key, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
