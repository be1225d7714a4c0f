"""The page of a comparison of methods."""

COMPARISON_PAGE = """
{% extends "frame" %}
{% block top %}
<h1>{{ title }}</h1>
<p class="soft">Quality, energy and emissions of {{ record.methods|join(", ") }}, on simulated sites
of one machine.</p>
<dl class="facts">
{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
{% endblock %}
{% block main %}
<section aria-labelledby="front">
<h2 id="front">Quality against energy</h2>
{% if front %}<p>On the front, not beaten in both: <strong>{{ front|join(", ") }}</strong>.
{{ floor }}{% if floored %} Below it: {{ floored|join(", ") }}.{% endif %}</p>
{% else %}<p>No method is on the front. {{ floor }}</p>{% endif %}
{% if eaps_misleads %}<div class="note warn"><strong>EAPS alone would choose
{{ eaps_choice }},</strong> which is {{ eaps_verdict }}.</div>{% endif %}
{% if in_float32 %}<div class="note warn">{{ in_float32 }}</div>{% endif %}
{% if unclear %}<div class="note warn">{{ unclear }}</div>{% endif %}
{% for reason in unknown %}<div class="note warn"><strong>Energy is not known:</strong>
{{ reason }}.</div>{% endfor %}
{% if pictures %}
<figure>
<picture>
<source media="screen and (max-width: 560px) and (prefers-color-scheme: dark)"
srcset="{{ pictures.narrow_dark }}">
<source media="screen and (max-width: 560px)" srcset="{{ pictures.narrow_light }}">
<source media="screen and (prefers-color-scheme: dark)" srcset="{{ pictures.wide_dark }}">
<img class="drawing" src="{{ pictures.wide_light }}" alt="{{ alt }}">
</picture>
<figcaption class="small">Means of {{ record.repeats }} runs with their 95 % intervals. The line is
the front: the best quality to be had for so much energy. Filled: on the front; hollow: beaten;
triangle: below the floor; cross: target not reached. Points whose intervals overlap may change
places with other runs.</figcaption>
</figure>
{% else %}<p>There is no drawing: no method has both figures.</p>{% endif %}
</section>
<section aria-labelledby="methods">
<h2 id="methods">The methods</h2>
<div class="scroll" tabindex="0" role="region" aria-label="The methods"><table>
<caption>Means of runs ± half of their 95 % interval, {{ cells }}. Energy and emissions of sites
and coordinator{% if source %}, {{ source }}{% endif %}; communication is not in them</caption>
<thead><tr><th scope="col">Method</th>
{% if classifies %}<th scope="col" class="number">Accuracy</th>
<th scope="col" class="number">Macro-F1</th><th scope="col" class="number">Weighted F1</th>
{% else %}<th scope="col" class="number">Score</th>{% endif %}
<th scope="col" class="number">Energy, {{ units.kwh.name }}{{ stated }}</th>
<th scope="col" class="number">Emissions, {{ units.kg.name }}{{ stated }}</th>
{% if classifies %}<th scope="col" class="number">EAPS</th>
<th scope="col" class="number">EAPS by weighted F1</th>{% endif %}
<th scope="col">Verdict</th></tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row" class="name">{{ row.name }}</th>
{% for value in row.scores + row.energy %}<td class="number">{{ value }}</td>{% endfor %}
{% if classifies %}{% for value in row.eaps %}<td class="number">{{ value }}</td>{% endfor %}
{% endif %}
<td class="{{ row.tone }}"><b>{{ row.verdict }}</b></td></tr>{% endfor %}</tbody>
</table></div>
{% if classifies %}<p class="small soft">EAPS is F1 per kg CO2e of a run. It has no floor: a method
that emits half is worth as much as one of twice the F1, so the best by EAPS may be of no use.
By weighted F1 it is scFL-Green's own.</p>{% endif %}
{% if changes %}
<div class="scroll" tabindex="0" role="region" aria-label="Differences"><table>
<caption>Differences to {{ record.reference }} within repeats, with their 95 % intervals; in bold
where the interval leaves out 0</caption>
<thead><tr><th scope="col">Method</th><th scope="col" class="number">{{ quality }}</th>
<th scope="col" class="number">Energy{{ stated }}</th>
<th scope="col" class="number">Time</th><th scope="col" class="number">Bytes sent</th></tr></thead>
<tbody>{% for row in changes %}<tr><th scope="row" class="name">{{ row.name }}</th>
<td class="number">{% if row.sure %}<b>{{ row.quality }}</b>{% else %}{{ row.quality }}
{%- endif %}</td>
{% for one in row.others %}<td class="number">{% if one.sure %}<b>{{ one.text }}</b>{% else %}
{{- one.text }}{% endif %}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>{% endif %}
</section>
<section aria-labelledby="work">
<h2 id="work">What was done</h2>
<p>{{ work }} {{ first_run }}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Work"><table>
<caption>Work of a run, and what was sent in it; means</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Its own settings</th>
<th scope="col">Planned</th><th scope="col" class="number">Passes done</th>
{% if classifies %}<th scope="col" class="number">Macro-F1, validation</th>{% endif %}
<th scope="col" class="number">Sent by all</th><th scope="col" class="number">Time</th>
</tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row" class="name">{{ row.name }}</th>
<td>{% for text in row.settings %}<code>{{ text }}</code>{{ "; " if not loop.last }}{% else %}
<span class="soft">none</span>{% endfor %}</td><td>{{ row.planned }}</td>
<td class="number">{{ row.passes|score2 }}</td>
{% if classifies %}<td class="number">{{ row.validation }}</td>{% endif %}
<td class="number">{{ row.sent }}</td><td class="number">{{ row.seconds }}</td></tr>
{% endfor %}</tbody>
</table></div>
<div class="scroll" tabindex="0" role="region" aria-label="Where the energy went"><table>
<caption>Where a run's energy went, {{ units.kwh.name }}{{ stated }}; apart from it, what a network
would have taken for the bytes</caption>
<thead><tr><th scope="col">Method</th><th scope="col" class="number">Sites</th>
<th scope="col" class="number">Coordinator</th><th scope="col" class="number">CPU</th>
<th scope="col" class="number">GPU</th><th scope="col" class="number">Memory</th>
<th scope="col" class="number">Network, {{ units.kwh.name }} (estimated)</th>
<th scope="col" class="number">Network, {{ units.kg.name }} (estimated)</th></tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row" class="name">{{ row.name }}</th>
{% for value in row.who + row.parts + row.sending %}<td class="number">{{ value }}</td>
{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
<p class="small soft">Memory's power is constant, so its part is time: what else the machine does
lengthens it. Simulated sites share their machine's memory, which the coordinator counts.</p>
<div class="scroll" tabindex="0" role="region" aria-label="All runs"><table class="sortable">
<caption>All runs in the order in which they were made; order drawn with seed {{ record.seed }}
</caption>
<thead><tr><th scope="col" class="number">Run</th><th scope="col">Method</th>
<th scope="col">Repeat</th><th scope="col" class="number">Seed</th>
<th scope="col" class="number">{{ quality }}</th>
<th scope="col" class="number">Energy, {{ units.kwh.name }}{{ stated }}</th>
<th scope="col" class="number">Emissions, {{ units.kg.name }}{{ stated }}</th>
<th scope="col" class="number">Rounds</th>{% if record.target_f1 %}
<th scope="col" class="number">Target reached in round</th>{% endif %}
<th scope="col" class="number">Time</th></tr></thead>
<tbody>{% for run in runs %}<tr><td class="number">{{ run.number }}</td>
<th scope="row" class="name">{{ run.method }}</th><td>{{ run.repeat }}</td>
<td class="number">{{ run.seed }}</td><td class="number">{{ run.quality|score }}</td>
{% for value in run.energy %}<td class="number">{{ value }}</td>{% endfor %}
<td class="number">{{ run.rounds }}</td>{% if record.target_f1 %}
<td class="number">{{ "never" if run.target_reached is none else run.target_reached }}</td>
{% endif %}
<td class="number" data-value="{{ run.seconds }}">{{ run.seconds|duration }}</td></tr>
{% endfor %}</tbody>
</table></div>
<p class="small soft">On {{ record.machine.name }}: {{ record.machine.cpu }},
{{ record.machine.n_threads }} threads, {{ record.machine.memory_bytes|bytes }} of memory,
{{ record.machine.system }}. Power: {{ record.power.thread_watts|score2 }} W of a busy thread,
{{ record.power.ram_watts|score2 }} W of memory{% if record.power.why_estimated %};
{{ record.power.why_estimated }}{% endif %}. Versions:
{% for key, value in record.versions.items() %}{{ key }} {{ value }}{{ ", " if not loop.last }}
{%- endfor %}. Every run has its own folder with a page; every figure is in
<code>compare.json</code>, a row per run in <code>compare.csv</code>.</p>
</section>
{% endblock %}
{% block foot %}Made by Syncytium {{ version }} on {{ made|moment }} from
<code>compare.json</code> in {{ folder }}.{% endblock %}
"""
