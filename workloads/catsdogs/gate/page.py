"""The texts of the disagreement report: its page with the style for light and dark, and its titles.
It must not hold figures."""

TITLES = {"accuracy": "accuracy", "balancedAccuracy": "balanced accuracy", "rocAuc": "area under the ROC curve"}
CELLS = ("Both right", "Only the candidate right", "Only the serving model right", "Both wrong")

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{verdict}: candidate {candidate}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
:root{{--text:#1f2937;--soft:#4b5563;--page:#fff;--card:#f8fafc;--line:#e5e7eb;--good:#15803d;--bad:#b91c1c;--open:#b45309}}
@media(prefers-color-scheme:dark){{:root{{--text:#e5e7eb;--soft:#9ca3af;--page:#111827;--card:#1f2937;--line:#374151;
--good:#4ade80;--bad:#f87171;--open:#fbbf24}}}}
body{{font:16px/1.5 system-ui,sans-serif;margin:2.5rem auto;max-width:1120px;padding:0 1.25rem;color:var(--text);
background:var(--page)}}
h1{{margin:0;font-size:1.9rem}}h2{{margin:2.25rem 0 .75rem;font-size:1.2rem}}code{{font-size:.95em}}
.lead,.note,.cards span,figcaption,th,li,small,text{{color:var(--soft);fill:var(--soft)}}
.lead{{margin:.25rem 0 1rem}}.note{{font-size:.9rem;margin:0 0 .75rem}}small{{font-size:.85rem;font-weight:400}}
.verdict{{border-left:4px solid var(--bad);background:var(--card);border-radius:0 10px 10px 0;padding:.6rem 1rem;
margin:0 0 1.25rem;overflow-wrap:anywhere}}.verdict.good{{border-color:var(--good)}}
.good>b{{color:var(--good)}}.bad>b{{color:var(--bad)}}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:.75rem}}
.cards div{{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.75rem 1rem}}
.cards b{{display:block;font-size:1.35rem;line-height:1.3}}.cards span{{font-size:.9rem}}.cards small{{font-size:.8rem}}
svg{{display:block;width:100%;font-size:15px}}.beyond{{fill:var(--bad);opacity:.12}}
.zero{{stroke:var(--soft);stroke-width:2}}.allowed{{stroke:var(--bad);stroke-width:2;stroke-dasharray:5 4}}
.range{{stroke-width:5;stroke-linecap:round;stroke:var(--open)}}circle{{fill:var(--open)}}
.good .range{{stroke:var(--good)}}.good circle{{fill:var(--good)}}
.bad .range{{stroke:var(--bad)}}.bad circle{{fill:var(--bad)}}
.tables{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(460px,100%),1fr));gap:0 2rem}}
table{{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}}
td,th{{text-align:left;font-weight:400;padding:.3rem 1.5rem .3rem 0;border-bottom:1px solid var(--line)}}
.grid{{display:grid;grid-template-columns:repeat(auto-fill,minmax(176px,1fr));gap:1.25rem}}
figure{{margin:0;min-width:0}}img{{width:100%;height:auto;aspect-ratio:1;border-radius:8px;display:block}}
figcaption{{font-size:.85rem;margin:.35rem 0 0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}}
ul{{list-style:none;padding:0;margin:0;font-size:.85rem}}li b{{color:var(--text);font-weight:600}}
li b.right{{color:var(--good)}}li b.wrong{{color:var(--bad)}}
</style>
<h1>Candidate <code>{candidate}</code></h1>
<p class="lead">Judged on the evaluation set <code>{evalset}</code>{against}</p>
<p class="verdict {passed}"><b>{verdict}</b> {message}</p>
<div class="cards">{cards}</div>
{difference}
<div class="tables">{cells}{classes}</div>
{pictures}</html>
"""
