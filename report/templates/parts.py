"""Parts that pages share: the frame, pictures, classes, a track from 0 to 1, fields."""

FRAME = """
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{ title }} – Syncytium</title>
<link rel="icon" href="data:,">
<style>{{ style|safe }}</style>
</head>
<body>
<a class="skip" href="#first">Skip to the results</a>
<div class="sheet">
<header>
<div class="brand"><svg viewBox="0 0 30 22" aria-hidden="true"><path d="M9 2a8.5 8.5 0 0 0-1 16.9c
3.6.7 4.4-.9 7-.9s3.4 1.6 7 .9A8.5 8.5 0 0 0 21 2c-3.200-.4-4 1-6 1s-2.8-1.4-6-1z"
opacity=".28"/><circle cx="8.5" cy="10.5" r="3.3"/><circle cx="21.5" cy="10.5"
r="3.3"/></svg> Syncytium</div>
{% block top %}{% endblock %}
</header>
<main id="first">
{% block main %}{% endblock %}
</main>
<footer>{% block foot %}{% endblock %}</footer>
</div>
<script>{{ script|safe }}</script>
</body>
</html>
"""

PARTS = """
{% macro pictures(shown) %}
{% for row in shown.rows %}
<h3>{{ row.heading }}</h3>
<div class="pair">
{% for picture in row.pictures %}{{ plot(picture) }}{% endfor %}
</div>
{{ legend(row.legend) }}
{% endfor %}
{{ how_shown(shown) }}
{% endmacro %}

{% macro plot(picture) %}
<figure>
<figcaption>{{ picture.title }}</figcaption>
<div class="plot"><img src="{{ picture.png }}" alt="{{ picture.alt }}" width="900" height="720">
{% if picture.labels %}<svg viewBox="0 0 450 360" aria-hidden="true">
{% for label in picture.labels %}<text x="{{ label.x }}" y="{{ label.y }}">{{ label.text }}</text>
{% endfor %}</svg>{% endif %}</div>
</figure>
{% endmacro %}

{% macro legend(groups) %}
<ul class="legend">
{% for group in groups %}<li><svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5"
r="5" fill="{{ group.colour }}"/></svg>{% if group.mark %}<b>{{ group.mark }}</b> {% endif %}
{{- group.name }}
<span class="soft">{{ group.n_cells|number }}</span></li>
{% endfor %}</ul>
{% endmacro %}

{% macro how_shown(shown) %}
<p class="small soft">
{%- if shown.n_shown < shown.n_cells %}A random {{ shown.n_shown|number }} of the
{{ shown.n_cells|number }} cells. {% else %}All {{ shown.n_cells|number }} cells. {% endif -%}
{{ shown.settings }}. Distances between groups in a UMAP mean little: what counts is which colours
lie among each other. Made in {{ shown.seconds|duration }}.</p>
{% endmacro %}

{% macro by_class(classes, figures, caption) %}
<div class="scroll" tabindex="0" role="region" aria-label="Figures by class">
<table class="sortable">
<caption>{{ caption }}</caption>
<thead><tr><th scope="col">Class</th><th scope="col" class="number">Cells</th>
<th scope="col" class="number">Recall</th><th scope="col" class="number">Precision</th>
<th scope="col" class="number">F1</th></tr></thead>
<tbody>{% for name in classes %}{% set i = loop.index0 %}
<tr><th scope="row" class="name">{{ name }}</th>
<td class="number" data-value="{{ figures.support[i] }}">{{ figures.support[i]|number }}</td>
{% for figure in ("recall", "precision", "f1") %}
<td class="number">{{ figures[figure][i]|score }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{% endmacro %}

{% macro confusion(table, caption) %}
<h3>Which classes are taken for which</h3>
<p>{{ table.alt }}{% if table.told %} The most frequent others:</p>
<ul>{% for text in table.told %}<li>{{ text }}</li>{% endfor %}</ul>{% else %}</p>{% endif %}
<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
<table class="matrix">
<caption>{{ caption }} The stronger the colour, the larger
a share of its row; right answers are framed.
</caption>
<thead><tr><th scope="col">Class</th>{% for name in table.columns %}
<th scope="col" class="number">{{ name }}</th>{% endfor %}
<th scope="col" class="number">Cells</th></tr></thead>
<tbody>{% for row in table.rows %}
<tr><th scope="row" class="name">{{ row.name }}</th>
{% for cell in row.cells %}<td class="number shade-{{ cell.shade }}{{ " right" if cell.right }}">
{%- if cell.n_cells %}{{ cell.n_cells|number }}
<span class="part">{{ cell.share|percent }}</span>{% else %}<span class="soft">·</span>
{%- endif %}</td>{% endfor %}
<td class="number">{{ row.n_cells|number }}</td></tr>
{% endfor %}</tbody>
</table></div>
{% endmacro %}

{% macro track(before, after) %}
<svg class="track" viewBox="0 0 300 22" aria-hidden="true">
<line class="rail" x1="6" x2="294" y1="11" y2="11"/>
<line class="way" x1="{{ 6 + 288 * before }}" x2="{{ 6 + 288 * after }}" y1="11" y2="11"/>
<circle class="was" cx="{{ 6 + 288 * before }}" cy="11" r="5.5"/>
<circle class="is" cx="{{ 6 + 288 * after }}" cy="11" r="6.5"/>
</svg>
{% endmacro %}

{% macro fields(entries) %}
{% if entries %}<ul class="fields">{% for field in entries %}<li><code>{{ field.name }}</code>
<span class="soft">{{ field.meaning }}</span></li>{% endfor %}</ul>
{% else %}<span class="soft">nothing</span>{% endif %}
{% endmacro %}
"""
