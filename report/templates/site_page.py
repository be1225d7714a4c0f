"""The page of one site: its own cells and what it sent."""

SITE_PAGE = """
{% extends "frame" %}
{% import "parts" as parts %}
{% block top %}
<h1>{{ title }}</h1>
<p class="soft">For this site alone: it shows single cells, and no other site nor the coordinator
has it. {% if joined %}By the bundle of run{% else %}Run{% endif %} <code>{{ run }}</code>.</p>
<dl class="facts">
{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
{% endblock %}
{% block main %}
<section aria-labelledby="pictures">
<h2 id="pictures">Own cells before and after</h2>
{% if shown %}<p>The correction moves each batch to references that all sites
{%- if joined %} of the run{% endif %} share. How this site's
cells then lie among those of others no single site can see.</p>
{{ parts.pictures(shown) }}{% else %}<p>{{ no_pictures }}</p>{% endif %}
{% if unshifted %}<div class="note warn"><strong>Cell types that were not shifted to a
reference:</strong> <ul>{% for name in unshifted %}<li>{{ name }}</li>{% endfor %}</ul></div>
{% endif %}
{% if not_shifted %}<div class="note warn"><strong>Cells that were not shifted:</strong>
<ul>{% for reason, n_cells in not_shifted.items() %}<li>{{ n_cells|number }}: {{ reason }}</li>
{% endfor %}</ul></div>
{% endif %}
{% if padded %}<div class="note warn"><strong>Genes of the model that the file lacks,</strong> which
count as zeros: {{ padded|join(", ") }}</div>
{% endif %}
</section>
{% if carbon.said or carbon.faults %}<section aria-labelledby="carbon">
<h2 id="carbon">Carbon-aware scheduling</h2>
{% for text in carbon.said %}<p>{{ text }}</p>{% endfor %}
{% for text in carbon.faults %}<div class="note warn"><strong>carbon-file was not used,</strong>
and emissions are by the constant factor: {{ text }}.</div>{% endfor %}
{% if carbon.rows %}<div class="scroll" tabindex="0" role="region" aria-label="Rounds that waited or
trained less"><table>
<caption>Until this page was made; of each round, the grid when its message came and while it
worked</caption>
<thead><tr><th scope="col">Phase</th><th scope="col" class="number">Round</th>
<th scope="col">Done</th><th scope="col" class="number">At arrival</th>
<th scope="col" class="number">At work</th><th scope="col">Effect</th></tr></thead>
<tbody>{% for row in carbon.rows %}<tr><th scope="row">{{ row[0] }}</th>
<td class="number">{{ row[1] }}</td><td>{{ row[2] }}</td><td class="number">{{ row[3] }}</td>
<td class="number">{{ row[4] }}</td><td>{{ row[5] }}</td></tr>{% endfor %}</tbody>
</table></div>{% endif %}
</section>{% endif %}
<section aria-labelledby="sent">
<h2 id="sent">What left this site</h2>
<p>{{ summary }}</p>
{% if not joined %}
<p class="soft">From <code>outbox.jsonl</code>, where each message is entered before it leaves.
{% if not finished %}The answer of the correction itself (how many cells were written and shifted,
in a sum) leaves after this page is made, and where sums are masked a key share to open it;
<code>syncytium report</code> with this folder makes the page again with both.{% endif %}
{% if sent.other_runs %}The log also has {{ sent.other_runs }} other
run{{ "" if sent.other_runs == 1 else "s" }}, not counted here.{% endif %}</p>
<div class="scroll" tabindex="0" role="region" aria-label="What left this site, by phase">
<table class="sortable">
<caption>By phase and field; bytes over all messages</caption>
<thead><tr><th scope="col">Phase</th><th scope="col">Field</th><th scope="col">How</th>
<th scope="col">Shape</th><th scope="col" class="number">Messages</th>
<th scope="col" class="number">Bytes</th></tr></thead>
<tbody>{% for phase in sent.phases %}{% for field in phase.fields.values() %}
<tr><th scope="row">{{ phase.name }}</th><td class="name"><code>{{ field.name }}</code>
<span class="small soft">{{ field.meaning }}</span></td>
<td class="{{ {'masked': 'good', 'unmasked': 'bad'}.get(field.visibility, '') }}">
{{- {"masked": "masked, in a sum", "unmasked": "in a sum, not masked"}.get(
field.visibility, field.visibility) }}</td>
<td>{{ field.shape|join(" × ") if field.shape else "one value" }}</td>
<td class="number">{{ phase.messages|number }}</td>
<td class="number" data-value="{{ field.bytes }}">{{ field.bytes|bytes }}</td></tr>
{% endfor %}{% endfor %}</tbody>
</table></div>
{% endif %}
{% if sent.refusals %}<div class="note warn"><strong>Refused:</strong>
<ul>{% for one in sent.refusals %}<li>{{ one.phase }}: {{ one.reason }} ({{ one.kind }})</li>
{% endfor %}</ul></div>{% endif %}
</section>
{% endblock %}
{% block foot %}Made by Syncytium {{ version }} on {{ made|moment }} from
<code>corrected.h5ad</code> and <code>outbox.jsonl</code> in {{ folder }}.{% endblock %}
"""
