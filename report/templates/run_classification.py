"""What a run's page says of a classifier: its figures, each class, and the confusion matrix."""

RUN_CLASSIFICATION = """
{% import "parts" as parts %}
{% macro classified() %}
<section aria-labelledby="verdict">
<h2 id="verdict">The classifier</h2>
{% if not scored %}
<p>{{ "It was not scored: the run held no test cells out." if run.status == "finished" else
"The run did not finish." }}</p>
{% else %}
{% for sentence in scored_summary %}<p>{{ sentence }}.</p>{% endfor %}
{% endif %}
{% if fine_tuning %}
<ul>{% for sentence in fine_tuning %}<li>{{ sentence }}.</li>{% endfor %}</ul>
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
{{ parts.by_class(scored.classes, scored.figures, "Test cells of all sites, by class") }}
{{ parts.confusion(confusion, "Test cells of all sites by true class, a row each, and answer, a
column each; below the threshold the answer is unknown.") }}
{% endif %}
</section>
{% endmacro %}
"""
