"""The part of a run's page with what sums over sites say of the correction."""

RUN_EVALUATION = """
{% import "run_results" as results with context %}
{% macro federated() %}
<section aria-labelledby="federated">
<h2 id="federated">Scores by sums over sites</h2>
{% if not summed.evaluated %}
<div class="note warn"><p><strong>Not evaluated.</strong> {{ summed.reason }}.</p></div>
{% else %}
<p class="soft">Of all {{ summed.n_cells|number }} cells of {{ summed.n_sites }} sites, none of
which left its site. Batches are compared within cell types that
{{ summed.settings.least_sites_of_a_type }} sites hold, each batch and each type counting alike.
Labels are the sites' own, and have steered the correction. ↑ higher is better, ↓ lower.</p>
{% for version, one in summed.scores.items() if one.reason and version != "uncorrected" %}
<div class="note bad"><p><strong>{{ version|capitalize }} is no correction:</strong>
{{ one.reason }}.</p></div>
{% endfor %}
<div class="scroll" tabindex="0" role="region" aria-label="Scores by sums over sites">
<table class="scores">
<caption>Over all cell types</caption>
<thead><tr><th scope="col">Figure</th>{% for version in summed.versions %}
<th scope="col" class="number">{{ version }}</th>
{% if not loop.first %}<th scope="col" class="number">change</th>{% endif %}{% endfor %}
</tr></thead>
{% for heading, rows in summed_rows.items() %}
<tbody><tr class="group"><th scope="rowgroup" colspan="{{ 2 * summed.versions|length }}">
{{- heading }}</th></tr>
{% for row in rows %}<tr><th scope="row" class="name">{{ row.title }}
{{ "↑" if row.better == "higher" else "↓" }}</th>
{% for version in summed.versions %}<td class="number">{{ row.values[version]|score }}</td>
{% if not loop.first %}<td class="number">
{{- results.change(row.values[version], row.values["uncorrected"], row.better) }}</td>{% endif %}
{% endfor %}</tr>{% endfor %}</tbody>{% endfor %}
</table></div>
<ul class="small soft">{% for figure in summed.figures.values() %}
<li><b>{{ figure.title }}</b> ({{ figure.better }} is better): {{ figure.meaning }}.</li>
{% endfor %}
<li><b>Reconstruction</b> (higher is better): the model explains
{{ summed.reconstruction.reconstruction|score }} of the variance of scaled expression,
{{ summed.reconstruction.validation_reconstruction|score }} on cells held out of the training, and
the means of each batch and type {{ summed.reconstruction.means_reconstruction|score }}. A model
below these means has not learned what is common to cells of one type.</li></ul>
{% if summed.per_type %}
<div class="scroll" tabindex="0" role="region" aria-label="Scores by sums over sites, by cell type">
<table class="sortable">
<caption>By cell type, before → after, in principal components of expression</caption>
<thead><tr><th scope="col">Cell type</th>
<th scope="col" class="number">Batches</th>
{% for name in ("batch_share", "batch_share_of_products") %}{% for version in summed.versions[1:] %}
<th scope="col" class="number">{{ summed.figures[name].title }}
{%- if summed.versions|length > 2 %} ({{ version }}){% endif %}</th>{% endfor %}{% endfor %}
</tr></thead>
<tbody>{% for name, about in summed.per_type.items() %}
<tr><th scope="row" class="name">{{ name }}</th>
<td class="number">{{ about.n_batches }}</td>
{% for figure in ("batch_share", "batch_share_of_products") %}
{% for version in summed.versions[1:] %}
{% set was = about.expression["uncorrected"][figure] %}
{% set is = about.expression[version][figure] %}
<td class="number" data-value="{{ '' if is is none else is }}">
{{- was|score }} → {{ is|score }}</td>{% endfor %}{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{% endif %}
{% if summed.types_left_out %}
<p class="small soft">Not compared:
{%- for name, reason in summed.types_left_out.items() %} {{ name }} ({{ reason }})
{{- "." if loop.last else ";" }}{% endfor %}</p>
{% endif %}
{% endif %}
</section>
{% endmacro %}
"""
