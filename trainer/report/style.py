"""How reports look, by day and by night."""

from typing import Final

STYLE: Final = """
:root{--page:#fff;--text:#1d2127;--faint:#5d6671;--line:#dde1e6;--good:#e3f4e6;--bad:#fbe5e1;
--c0:#1f6fb2;--c1:#c2571a;--c2:#2a7f4f;--bar:#8aa3bd}
@media (prefers-color-scheme:dark){:root{--page:#15181c;--text:#e6e9ed;--faint:#9aa4b0;--line:#343a42;--good:#173a22;
--bad:#47201a;--c0:#6cb0ee;--c1:#f09a5e;--c2:#6cc795;--bar:#5d7894}}
body{background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif;max-width:1160px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:.5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.good,.bad{padding:.6rem .9rem;border-radius:6px;font-weight:600}
.good{background:var(--good)}.bad{background:var(--bad)}
.bad ul{font-weight:400;margin:.3rem 0 0;padding-left:1.2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--faint)}dd{margin:0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .8rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--faint);font-weight:600}th:first-child,td:first-child{text-align:left;padding-left:0}
small{display:block;color:var(--faint);font-size:.8em}
td:not(:first-child){white-space:nowrap}
p.note{color:var(--faint);max-width:75ch}p.note small{display:inline;margin-left:.4em}
figure{display:inline-block;margin:0 1rem .5rem 0;width:min(100%,540px)}svg{width:100%;height:auto;display:block}
svg text{fill:var(--faint);font-size:12px}.grid{stroke:var(--line)}.bar{fill:var(--bar)}
.mark{stroke:var(--c1);stroke-dasharray:4 3}
.legend span{margin-right:1.2rem}span.c0{color:var(--c0)}span.c1{color:var(--c1)}span.c2{color:var(--c2)}
svg .c0{stroke:var(--c0);fill:var(--c0)}svg .c1{stroke:var(--c1);fill:var(--c1)}svg .c2{stroke:var(--c2);fill:var(--c2)}
polyline{stroke-width:2}svg polyline.c0,svg polyline.c1,svg polyline.c2{fill:none}
"""
