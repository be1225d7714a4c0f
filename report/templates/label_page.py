"""The page of a site that labelled its cells with a published classifier."""

LABEL_PAGE = """
{% extends "frame" %}
{% import "parts" as parts %}
{% block top %}
<h1>{{ title }}</h1>
<p class="soft">For this site alone: it shows single cells, and nothing left this site. By the
classifier <code>{{ about.classifier }}</code> of run <code>{{ about.run }}</code>.</p>
<dl class="facts">
{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
{% endblock %}
{% block main %}
<section aria-labelledby="answers">
<h2 id="answers">What the cells are</h2>
{% if n_unknown %}<p>{{ n_unknown|number }} cells are unknown: the classifier's confidence is below
{{ threshold|score2 }}. Their most probable class is in
<code>obs["syncytium_most_probable"]</code>.</p>{% endif %}
<div class="scroll" tabindex="0" role="region" aria-label="Cells by answer">
<table class="sortable">
<caption>Cells by answer</caption>
<thead><tr><th scope="col">Answer</th><th scope="col" class="number">Cells</th>
<th scope="col" class="number">Share</th>
<th scope="col" class="number">Median confidence</th></tr></thead>
<tbody>{% for one in answers %}
<tr><th scope="row" class="name">{{ one.name }}{% if one.term %}
<span class="small soft">{{ one.term }}</span>{% endif %}</th>
<td class="number" data-value="{{ one.n_cells }}">{{ one.n_cells|number }}</td>
<td class="number" data-value="{{ one.share }}">{{ one.share|percent }}</td>
<td class="number">{{ one.confidence|score2 }}</td></tr>
{% endfor %}</tbody>
</table></div>
{% if absent %}<p class="small soft">No cell is answered: {{ absent|join(", ") }}.</p>{% endif %}
{% if left_out %}<div class="note warn"><strong>Types that the classifier was not taught,</strong>
as too few sites of its run held them: {{ left_out|join(", ") }}. Such cells get another answer,
often a sure one.</div>{% endif %}
{% if padded %}<div class="note warn"><strong>Genes of the classifier that the file lacks,</strong>
which count as zeros: {{ padded|join(", ") }}</div>{% endif %}
</section>
<section aria-labelledby="pictures">
<h2 id="pictures">The cells</h2>
{% if shown %}
<div class="pair">
{% for row in shown.rows %}<div>{% for picture in row.pictures %}{{ parts.plot(picture) }}
{% endfor %}{{ parts.legend(row.legend) }}</div>
{% endfor %}
</div>
{{ parts.how_shown(shown) }}{% else %}<p>{{ no_pictures }}</p>{% endif %}
</section>
{% if compared %}
<section aria-labelledby="own">
<h2 id="own">Beside the site's own labels</h2>
{% for sentence in compared_summary %}<p>{{ sentence }}</p>{% endfor %}
{% if compared.figures.n_cells %}
{{ parts.by_class(classes, compared.figures, "Cells by own label; an unknown cell is a wrong answer"
) }}
{{ parts.confusion(confusion, "Cells by own label, a row each, and answer, a column each.") }}
{% endif %}
</section>
{% endif %}
{% endblock %}
{% block foot %}Made by Syncytium {{ version }} on {{ made|moment }} from
<code>labelled.h5ad</code> in {{ folder }}.{% endblock %}
"""
