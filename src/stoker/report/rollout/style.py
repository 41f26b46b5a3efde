"""The look of the rollout's page: quiet, both schemes, 320 px to paper. Colour never stands alone: words and shapes repeat it."""

from typing import Final

__all__ = ["STYLE"]

_COLOURS: Final = """
:root {
  --paper: #ffffff; --card: #f6f8fa; --ink: #1c2128; --muted: #57606a; --edge: #d5dbe1; --grid: #e4e8ec;
  --passed: #1a7237; --failed: #b42318; --inconclusive: #8a5a00; --one: #0a5cb8; --two: #7a3fc4; --three: #b1470b;
  --band: #0a5cb812; --track: #e9edf1; --cost-busy: #0a5cb8; --cost-held: #c98a1b; --cost-free: #a4aeb9;
}
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #0e1217; --card: #161b22; --ink: #e6eaef; --muted: #9ba6b3; --edge: #2d343d; --grid: #222932;
  --passed: #5cc878; --failed: #ff8f85; --inconclusive: #e5b454; --one: #6db3ff; --two: #c39bff; --three: #ffa866;
  --band: #6db3ff14; --track: #222932; --cost-busy: #4f9cf0; --cost-held: #d9a441; --cost-free: #56616d;
} }
"""

_PAGE: Final = """
html { background: var(--paper); scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { background: var(--paper); color: var(--ink); max-width: 66rem; padding: 2rem 1.25rem 4rem; }
a { color: var(--one); text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--one); outline-offset: 2px; border-radius: 2px; }
header p { margin: .35rem 0 0; color: var(--muted); } .eyebrow { font-size: .8rem; letter-spacing: .04em; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; font-weight: 650; letter-spacing: -.015em; margin-top: .35rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 3.25rem 0 .3rem; letter-spacing: -.005em; } h3 { font-size: .95rem; margin: 1.6rem 0 .4rem; }
p { overflow-wrap: anywhere; } h2 + p, .lead { color: var(--muted); margin: 0 0 1rem; max-width: 46rem; }
small, .small { font-size: .8rem; color: var(--muted); } .no { color: var(--muted); font-style: italic; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 1.1rem 0 0; font-size: .87rem; }
nav a { padding: .2rem 0; text-decoration: none; } nav a:hover { text-decoration: underline; }
pre { background: var(--card); border: 1px solid var(--edge); border-radius: .4rem; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 26rem; overflow-y: auto; font-size: 12px; }
code { overflow-wrap: anywhere; font-size: .92em; }
details > summary { cursor: pointer; } details { margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .6rem .75rem .6rem 0; border-top: 1px solid var(--edge); overflow-wrap: anywhere; }
thead th { border-top: 0; font-size: .8rem; font-weight: 550; color: var(--muted); vertical-align: bottom; } tbody th { font-weight: 550; }
td small, th small { display: block; font-weight: 400; overflow-wrap: anywhere; line-height: 1.4; }
.scroll { overflow-x: auto; }
"""

_TILES: Final = """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .75rem; margin: 1.75rem 0 0; padding: 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem; padding: .85rem 1rem .9rem; }
.tiles span { display: block; } .tiles .what { font-size: .82rem; color: var(--muted); }
.tiles .value { font-size: 1.7rem; font-weight: 620; letter-spacing: -.02em; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tiles .value.no { font-size: 1.2rem; padding: .25rem 0; }
.sim { border: 1px dashed var(--muted); border-radius: .25rem; padding: 0 .3rem; font-size: .75rem; color: var(--muted); white-space: nowrap; }
td b { font-weight: 620; font-size: 1.02rem; } td .change { white-space: nowrap; display: inline; margin-left: .6rem; }
.roi { table-layout: fixed; } .roi th, .roi td { padding-bottom: .2rem; } .roi thead th { padding-bottom: .5rem; } .roi th:first-child { width: 44%; } .about td { border-top: 0; padding-top: 0; padding-bottom: .65rem; } .about small { max-width: 46rem; }
.verdict { display: inline-flex; align-items: center; gap: .35rem; font-weight: 600; white-space: nowrap; }
.verdict svg { width: .95em; height: .95em; flex: none; }
.passed, .agrees { color: var(--passed); } .failed, .differs { color: var(--failed); } .inconclusive { color: var(--inconclusive); } .unmeasured { color: var(--muted); }
"""

_CHARTS: Final = """
figure { margin: 1.1rem 0 0; } figcaption { font-weight: 600; font-size: .95rem; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; margin: .25rem 0 .5rem; padding: 0; list-style: none; font-size: .82rem; color: var(--muted); }
.legend li { display: flex; align-items: center; gap: .4rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 0 2rem; }
.plot { display: grid; grid-template: 1.15rem 13.5rem 1.3rem / 3.1rem 1fr; margin-top: .5rem; font-size: .75rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.plot > * { position: relative; min-width: 0; } .bands { grid-area: 1 / 2; } .y { grid-area: 2 / 1; } .area { grid-area: 2 / 2; } .x { grid-area: 3 / 2; } .ends { grid-area: 2 / 3; } .plot:has(.ends span) { grid-template-columns: 3.1rem 1fr 3.7rem; }
.ends span { left: .4rem; transform: translateY(-50%); font-weight: 600; } .name-1 { color: var(--one); } .name-2 { color: var(--two); } .name-3 { color: var(--three); }
.plot span { position: absolute; white-space: nowrap; line-height: 1; }
.y span { right: .5rem; transform: translateY(-50%); } .x span { top: .35rem; transform: translateX(-50%); }
.x .edge-left { transform: none; } .x .edge-right { transform: translateX(-100%); }
.bands span { overflow: hidden; text-overflow: ellipsis; box-sizing: border-box; padding-left: .25rem; top: .1rem; border-left: 1px solid var(--muted); }
.area svg { display: block; width: 100%; height: 100%; overflow: visible; }
.area path { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; vector-effect: non-scaling-stroke; }
.area line { stroke: var(--grid); vector-effect: non-scaling-stroke; } .area line.limit { stroke: var(--failed); stroke-dasharray: 5 4; } .area rect { fill: var(--band); }
.line-1 { stroke: var(--one); } .line-2 { stroke: var(--two); } .line-3 { stroke: var(--three); stroke-dasharray: 6 4; }
.flag { top: 0; bottom: 0; border-left: 1.5px dashed var(--ink); opacity: .65; } .flag::before { content: attr(data-mark); position: absolute; left: 2px; top: 1px; font-size: .7rem; color: var(--ink); font-weight: 700; }
.stack { display: flex; height: 1.6rem; border-radius: .3rem; overflow: hidden; background: var(--track); margin: .15rem 0 .1rem; } .stack i { display: block; height: 100%; }
.bar-row { margin: .7rem 0; } .bar-row p { margin: 0; display: flex; justify-content: space-between; gap: 1rem; font-size: .87rem; flex-wrap: wrap; }
.swatch { display: inline-block; width: .75rem; height: .75rem; border-radius: .15rem; }
.busy { background: var(--cost-busy); } .held { background: repeating-linear-gradient(135deg, var(--cost-held) 0 5px, transparent 5px 8px), var(--card); } .free { background: var(--cost-free); }
.none { background: var(--track); }
"""

_GATES: Final = """
.gates ol { list-style: none; margin: 0; padding: 0; } .phase { border-top: 1px solid var(--edge); padding: .2rem 0 .6rem; } .phase h3 { margin: .7rem 0 .1rem; display: flex; gap: .8rem; align-items: baseline; justify-content: space-between; }
.gates li { display: grid; grid-template-columns: 8rem minmax(0, 1fr) minmax(0, 1.2fr) 5.2rem; gap: .2rem 1rem; align-items: center; padding: .28rem 0; font-size: .9rem; }
.gates a { color: inherit; text-decoration: none; overflow-wrap: anywhere; } .gates a:hover { text-decoration: underline; }
.track { position: relative; height: .8rem; border-radius: .2rem; background: var(--track); overflow: hidden; }
.track i { position: absolute; top: 0; bottom: 0; } .track .span { background: var(--band); } .track .run { min-width: 4px; border-radius: .15rem; background: currentColor; }
.took { text-align: right; font-variant-numeric: tabular-nums; color: var(--muted); font-size: .82rem; white-space: nowrap; font-weight: 400; }
.gate { border-top: 1px solid var(--edge); margin: 0; padding: .6rem 0; } .gate summary { display: flex; flex-wrap: wrap; gap: .2rem .9rem; align-items: center; list-style: none; } .gate summary::-webkit-details-marker { display: none; } .gate summary::before { content: "›"; width: .6rem; color: var(--muted); font-size: 1.1rem; line-height: 1; } .gate[open] summary::before { transform: rotate(90deg); } .gate summary > span:last-child { overflow-wrap: anywhere; min-width: 0; flex: 1 1 14rem; }
.gate > div { padding: .4rem 0 .4rem 1rem; border-left: 2px solid var(--edge); margin: .5rem 0 .3rem .2rem; } .gate p { margin: .2rem 0; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: .2rem 1.1rem; margin: .5rem 0; font-size: .88rem; } dt { color: var(--muted); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.steps { list-style: none; padding: 0; margin: .8rem 0; } .steps small span { display: block; } .steps li { display: grid; grid-template-columns: 4rem minmax(0, 1fr) minmax(0, 1.1fr); gap: .2rem 1rem; align-items: center; padding: .4rem 0; border-top: 1px solid var(--edge); }
.axis { position: relative; height: 1.1rem; } .axis::before { content: ""; position: absolute; left: 0; right: 0; top: 50%; border-top: 1px solid var(--edge); }
.axis i { position: absolute; } .axis .interval { top: calc(50% - .22rem); height: .44rem; background: var(--one); opacity: .35; border-radius: .2rem; min-width: 3px; } .axis .seen { top: calc(50% - .32rem); width: .64rem; height: .64rem; margin-left: -.32rem; border-radius: 50%; background: var(--one); } .axis .asked { top: 0; bottom: 0; width: 0; border-left: 2px solid var(--ink); }
.moments { list-style: none; margin: 1rem 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); } .moments li { position: relative; padding: 1.15rem 1rem .3rem 0; border-top: 2px solid var(--edge); font-size: .9rem; } .moments li::before { content: ""; position: absolute; top: -.43rem; left: 0; width: .72rem; height: .72rem; border-radius: 50%; background: var(--paper); border: 2px solid var(--one); box-sizing: border-box; } .moments li.missing::before { border-style: dashed; border-color: var(--muted); } .moments b, .moments small { display: block; } .moments li.paged::before { background: var(--one); }
.count { display: flex; gap: 1px; max-width: 16rem; height: .6rem; margin-top: .25rem; } .count i { border-radius: .15rem; min-width: 2px; } .e { background: var(--failed); } .w { background: repeating-linear-gradient(90deg, var(--inconclusive) 0 3px, transparent 3px 5px); }
footer { margin-top: 3.5rem; border-top: 1px solid var(--edge); padding-top: .4rem; }
"""

_NARROW: Final = """
@media (max-width: 40rem) {
  body { padding: 1.25rem 1rem 3rem; } .tiles { grid-template-columns: 1fr 1fr; gap: .5rem; } .tiles li { padding: .65rem .75rem; } .tiles .value { font-size: 1.3rem; }
  th, td { padding-right: .5rem; } .roi th:first-child { width: 36%; } .verdict { white-space: normal; } td .change { display: block; margin-left: 0; } .plot { grid-template-columns: 2.6rem 1fr; } .plot:has(.ends span) { grid-template-columns: 2.6rem 1fr 3.4rem; } .ends span { left: .25rem; } .x span:nth-child(even) { display: none; }
  .gates li { grid-template-columns: minmax(0, 1fr) auto; } .gates li .verdict { grid-area: 1 / 1; } .gates li .took { grid-area: 1 / 2; } .gates li a { grid-area: 2 / 1 / auto / 3; } .gates li .track { grid-area: 3 / 1 / auto / 3; }
  .steps li { grid-template-columns: 3.2rem minmax(0, 1fr); } .steps li small { grid-column: 1 / 3; }
  .moments { grid-template-columns: 1fr; border-left: 2px solid var(--edge); margin-left: .35rem; } .moments li { border-top: 0; padding: 0 0 1rem 1.1rem; } .moments li::before { left: -.43rem; top: .3rem; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } * { transition: none !important; animation: none !important; } }
@media print {
  @page { margin: 14mm 13mm; } body { font-size: 10pt; max-width: none; padding: 0; } nav, .more { display: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, figcaption { break-after: avoid; } figure, tr, .roi tbody, .tiles li, .gates li, .steps li, .moments, .bar-row, .gate { break-inside: avoid; } h2 { margin-top: 1.6rem; } .plot { grid-template-rows: 1.15rem 10rem 1.3rem; }
  .tiles { grid-template-columns: repeat(4, 1fr); } .moments { grid-template-columns: repeat(5, 1fr); } a { color: inherit; text-decoration: none; }
}
"""

STYLE: Final = _COLOURS + _PAGE + _TILES + _CHARTS + _GATES + _NARROW
