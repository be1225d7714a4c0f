"""Parts that both pages share: the frame, pictures, a track from 0 to 1, fields."""

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
{% for picture in row.pictures %}
<figure>
<figcaption>{{ picture.title }}</figcaption>
<div class="plot"><img src="{{ picture.png }}" alt="{{ picture.alt }}" width="900" height="720">
{% if picture.labels %}<svg viewBox="0 0 450 360" aria-hidden="true">
{% for label in picture.labels %}<text x="{{ label.x }}" y="{{ label.y }}">{{ label.text }}</text>
{% endfor %}</svg>{% endif %}</div>
</figure>
{% endfor %}
</div>
<ul class="legend">
{% for group in row.legend %}<li><svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5"
r="5" fill="{{ group.colour }}"/></svg>{% if group.mark %}<b>{{ group.mark }}</b> {% endif %}
{{- group.name }}
<span class="soft">{{ group.n_cells|number }}</span></li>
{% endfor %}</ul>
{% endfor %}
<p class="small soft">
{%- if shown.n_shown < shown.n_cells %}A random {{ shown.n_shown|number }} of the
{{ shown.n_cells|number }} cells. {% else %}All {{ shown.n_cells|number }} cells. {% endif -%}
{{ shown.settings }}. Distances between groups in a UMAP mean little: what counts is which colours
lie among each other. Made in {{ shown.seconds|duration }}.</p>
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
