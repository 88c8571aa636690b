"""How the page looks: by day and by night, on a desk, on a telephone and on paper."""

STYLE = """
:root { --ink:#1c2330; --dim:#5b6577; --paper:#fff; --card:#f5f7fa; --line:#d9dfe8; --good:#137a4a; --bad:#b3261e;
  --warn:#8a5a00; --s0:#1f6fd0; --s1:#c2571a; --s2:#2a8a57; --s3:#8a4fc0; --s4:#b0325f; --s5:#66727f; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6eaf1; --dim:#98a3b5; --paper:#12161d; --card:#1b212b;
  --line:#303948; --good:#5fd394; --bad:#ff8a80; --warn:#f2c063; --s0:#6db1ff; --s1:#ff9e63; --s2:#67cf95;
  --s3:#c39bff; --s4:#ff86ae; --s5:#a3adb8; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width:62rem; margin:0 auto; padding:1.5rem 1rem 3rem; }
h1 { font-size:1.7rem; line-height:1.2; margin:.3rem 0; overflow-wrap:anywhere; }
h2 { font-size:1.2rem; margin:2.2rem 0 .8rem; border-bottom:1px solid var(--line); padding-bottom:.3rem; }
h3 { font-size:1rem; margin:1.2rem 0 .5rem; }
.dim, dt, figcaption, .finding { color:var(--dim); } .dim { font-size:.85rem; margin:.4rem 0; }
.secret { color:var(--warn); font-size:.85rem; margin:0; }
.verdict { font-size:1.1rem; padding:.8rem 1rem; border-left:5px solid var(--warn); background:var(--card);
  border-radius:.3rem; overflow-wrap:anywhere; }
.verdict.good { border-color:var(--good); } .verdict.refuse { border-color:var(--bad); }
dl { margin:0; } dd { margin:0; }
.facts div { display:flex; flex-wrap:wrap; gap:0 .6rem; font-size:.9rem; } .facts dt { min-width:9rem; }
.facts dd { overflow-wrap:anywhere; min-width:0; }
.tiles { display:grid; grid-template-columns:repeat(auto-fill, minmax(10.5rem, 1fr)); gap:.6rem; }
.tiles div { background:var(--card); border-radius:.4rem; padding:.6rem .8rem; } .tiles dt { font-size:.85rem; }
.tiles dd { font-size:1.25rem; font-weight:600; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }
.tiles dd.dim { font-size:.8rem; font-weight:400; margin:0; }
.charts { display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap:1rem;
  margin-top:1rem; }
figure { margin:0; max-width:27rem; } figcaption { font-size:.9rem; margin-bottom:.2rem; } svg { width:100%;
  height:auto; display:block; }
svg text { fill:var(--dim); font-size:11px; } svg .title { font-size:12px; } .frame { fill:none; stroke:var(--line); }
.grid { stroke:var(--line); stroke-width:.5; } polyline { fill:none; stroke-width:2; stroke-linejoin:round; }
polyline.reference { stroke:var(--dim); stroke-width:1; stroke-dasharray:4 4; }
polyline.s0 { stroke:var(--s0); } polyline.s1 { stroke:var(--s1); } polyline.s2 { stroke:var(--s2); }
polyline.s3 { stroke:var(--s3); } polyline.s4 { stroke:var(--s4); } polyline.s5 { stroke:var(--s5); }
g.points { fill:var(--s0); fill-opacity:.65; }
.key { list-style:none; margin:.3rem 0 0; padding:0; display:flex; flex-wrap:wrap; gap:.1rem .9rem;
  font-size:.85rem; }
.key i { display:inline-block; width:.9rem; height:.2rem; margin-right:.35rem; vertical-align:middle;
  background:var(--dim); }
.key .s0 { background:var(--s0); } .key .s1 { background:var(--s1); } .key .s2 { background:var(--s2); }
.key .s3 { background:var(--s3); } .key .s4 { background:var(--s4); } .key .s5 { background:var(--s5); }
.wide { overflow-x:auto; margin-top:1rem; }
table { border-collapse:collapse; font-size:.9rem; font-variant-numeric:tabular-nums; }
th, td { padding:.3rem .7rem; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap; }
th:first-child, td:first-child { text-align:left; } thead th { color:var(--dim); font-weight:500; }
td .foreign { white-space:normal; overflow-wrap:anywhere; }
.matrix td { text-align:center; } .matrix thead td { color:var(--dim); }
.matrix .right { background:color-mix(in srgb, var(--good) calc(var(--share) * 45%), transparent); }
.matrix .wrong { background:color-mix(in srgb, var(--bad) calc(var(--share) * 70%), transparent); }
.checks { list-style:none; padding:0; margin:0; } .checks li { display:flex; gap:.6rem; padding:.15rem 0;
  overflow-wrap:anywhere; }
.checks li > span:last-child { min-width:0; } .finding { font-size:.9rem; }
.sign { font-weight:700; flex:none; width:1rem; } .sign.holds { color:var(--good); } .sign.fails { color:var(--bad); }
.sign.open, li.open { color:var(--dim); }
@media print { :root { --ink:#000; --dim:#444; --paper:#fff; --card:#f2f2f2; --line:#bbb; --good:#137a4a;
  --bad:#b3261e;
  --warn:#8a5a00; --s0:#1f6fd0; --s1:#c2571a; --s2:#2a8a57; --s3:#8a4fc0; --s4:#b0325f; --s5:#66727f; }
  body { font-size:11pt; print-color-adjust:exact; -webkit-print-color-adjust:exact; } main { max-width:none;
  padding:0; }
  h2, h3 { break-after:avoid; } figure, tr, .tiles div, .verdict, .checks li { break-inside:avoid; }
  .wide { overflow:visible; } }
"""
