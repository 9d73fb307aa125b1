#include "client/report/style.h"

namespace cherry::client {

const char kReportStyle[] = R"css(
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1d2329; --soft: #5b6670; --line: #d7dce1; --box: #f5f7f9;
  --good: #14713d; --bad: #b3261e; --open: #8a5a00; --bar: #8fb8de;
  --c0: #0067a5; --c1: #c7500c; --c2: #0a8060; --c3: #a34a86; --c4: #a87900; --c5: #3d91c9; --c6: #6d6d6d; --c7: #7a4dc2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e4e8ec; --soft: #a2acb6; --line: #39424b; --box: #1d2329;
    --good: #5fd08f; --bad: #ff8b80; --open: #e8b64c; --bar: #2f6496;
    --c0: #5fb0ec; --c1: #ff9453; --c2: #45c9a2; --c3: #e08cc6; --c4: #e6bc4a; --c5: #9bd0f2; --c6: #b0b0b0; --c7: #b79af5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .8rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; }
.note, header p, small, caption, figcaption + .legend { color: var(--soft); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: .8rem 0; }
a { color: var(--c0); }
.verdicts { list-style: none; padding: 0; display: grid; gap: .6rem; }
.verdicts li { border: 1px solid var(--line); border-left: .4rem solid var(--soft); border-radius: .3rem; padding: .5rem .8rem; }
.verdicts h3 { margin: 0; font-weight: 600; }
.verdicts p { margin: .1rem 0; }
.verdicts .result { float: right; margin-left: .8rem; font-weight: 700; text-transform: uppercase; font-size: .8rem; }
.verdicts .holds { border-left-color: var(--good); } .holds .result { color: var(--good); }
.verdicts .fails { border-left-color: var(--bad); } .fails .result { color: var(--bad); }
.verdicts .undecided { border-left-color: var(--open); } .undecided .result { color: var(--open); }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; }
caption { text-align: left; padding-bottom: .3rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem); }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: normal; }
td { white-space: nowrap; }
thead th { background: var(--box); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; min-width: min(12rem, 34vw); max-width: 16rem; overflow-wrap: anywhere; }
td.n { white-space: normal; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
th:first-child { position: sticky; left: 0; background: var(--paper); }
thead th:first-child { background: var(--box); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.5rem; }
figure { margin: 0 0 1rem; min-width: 0; break-inside: avoid; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.note { font-size: .85rem; }
.chart { width: 100%; height: auto; display: block; }
.chart text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
polyline, .swatch line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; }
.mark { fill: currentColor; stroke: none; }
.dashed { stroke-dasharray: 4 3; stroke-width: 1.3; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .3rem 0; font-size: .85rem; }
.swatch { width: 24px; height: 10px; margin-right: .35rem; }
.barlist { list-style: none; padding: 0; margin: 0; max-width: 44rem; }
.barlist li { margin: .5rem 0; overflow: hidden; }
.value { float: right; margin-left: 1rem; font-variant-numeric: tabular-nums; }
.bars { display: block; width: 100%; height: 20px; clear: both; }
.bars line { stroke: var(--ink); vector-effect: non-scaling-stroke; stroke-width: 1; }
.bars .bar { fill: var(--bar); } .bars .whisker { stroke-width: 2; }
.bars .full { stroke-dasharray: 3 3; } .bars .single { stroke: var(--c1); stroke-width: 2; }
.tree, .tree ul { list-style: none; padding-left: 0; margin: 0; }
.tree ul { padding-left: 1rem; margin-left: .35rem; border-left: 2px solid var(--line); }
.tree li { margin: .45rem 0; } .tree small { display: block; font-size: .85rem; }
details { border: 1px solid var(--line); border-radius: .3rem; margin: .4rem 0; padding: .35rem .7rem; }
summary { cursor: pointer; }
pre { margin: .4rem 0; padding: .6rem; background: var(--box); overflow-x: auto; font-size: .85rem; overflow-wrap: normal; }
@media print {
  :root {
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --box: #fff; --good: #14713d; --bad: #b3261e; --open: #8a5a00;
    --bar: #bcd3ea;
    --c0: #0067a5; --c1: #c7500c; --c2: #0a8060; --c3: #a34a86; --c4: #a87900; --c5: #3d91c9; --c6: #6d6d6d; --c7: #7a4dc2;
  }
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav, details { display: none; }
  .scroll { overflow: visible; } table { font-size: 8pt; } td { white-space: normal; } th, td { padding: .15rem .3rem; }
  tr, .verdicts li { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  * { print-color-adjust: exact; }
}
)css";

}  // namespace cherry::client
