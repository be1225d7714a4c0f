"""What a run's page says of a classifier: its figures, each class, and the confusion matrix."""

RUN_CLASSIFICATION = """
{% macro classified() %}
<section aria-labelledby="verdict">
<h2 id="verdict">The classifier</h2>
{% if not scored %}
<p>{{ "It was not scored: the run held no test cells out." if run.status == "finished" else
"The run did not finish." }}</p>
{% else %}
{% for sentence in scored_summary %}<p>{{ sentence }}.</p>{% endfor %}
{% endif %}
{% if not masked %}
<div class="note bad"><p><strong>Sums were not masked</strong> (<code>secure-sum = off</code>): the
coordinator could see each site's part of every sum.</p></div>
{% endif %}
{% if open_losses %}
<div class="note warn"><strong>Without {{ open_losses|length }} of the sites:</strong>
<ul>{% for site, reason in open_losses.items() %}<li>{{ site }}: {{ reason }}</li>{% endfor %}</ul>
</div>
{% endif %}
{% set merged, left_out = run.get("merged_labels", []), run.get("left_out_labels", []) %}
{% if merged or left_out %}
<div class="note warn"><strong>Labels that too few sites hold:</strong>
<ul>{% for name in merged %}<li>{{ name }}: a part of the class other</li>{% endfor %}
{% for name in left_out %}<li>{{ name }}: left out</li>{% endfor %}</ul></div>
{% endif %}
{% if scored and scored.evaluated %}
<div class="scroll" tabindex="0" role="region" aria-label="Figures by class">
<table class="sortable">
<caption>Test cells of all sites, by class</caption>
<thead><tr><th scope="col">Class</th><th scope="col" class="number">Cells</th>
<th scope="col" class="number">Recall</th><th scope="col" class="number">Precision</th>
<th scope="col" class="number">F1</th></tr></thead>
<tbody>{% for name in scored.classes %}{% set i = loop.index0 %}
<tr><th scope="row" class="name">{{ name }}</th>
<td class="number" data-value="{{ scored.figures.support[i] }}">
{{- scored.figures.support[i]|number }}</td>
{% for figure in ("recall", "precision", "f1") %}
<td class="number">{{ scored.figures[figure][i]|score }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
<table>
<caption>Answers by true class; below the threshold a cell is unknown</caption>
<thead><tr><th scope="col">True class</th>{% for name in scored.classes + ["unknown"] %}
<th scope="col" class="number">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in scored.confusion_with_unknown %}
<tr><th scope="row" class="name">{{ (scored.classes + ["none of these"])[loop.index0] }}</th>
{% for n in row %}<td class="number">{{ n|number if n else "·" }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% endif %}
</section>
{% endmacro %}
"""
