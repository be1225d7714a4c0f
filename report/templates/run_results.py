"""The upper half of a run's page: how it ended, the verdict, pictures, scores, training."""

RUN_RESULTS = """
{% import "parts" as parts %}
{% macro ended() %}
<section aria-labelledby="ended">
<h2 id="ended">{{ "What went wrong" if failed else "The run has not ended" }}</h2>
{% if failed %}
<p class="error">{{ run.error }}</p>
<p class="soft">{{ run.error_kind }}; the run had reached {{ reached }}.</p>
{% else %}
<p>It had reached {{ reached }} when this page was made. Where no process of it is left, it was
killed.</p>
{% endif %}
<div class="note"><strong>How to go on</strong>
<ol>{% for way in ways %}<li>{{ way }}</li>{% endfor %}</ol></div>
</section>
{% endmacro %}

{% macro finding(one) %}
<div class="finding tone-{{ one.tone }}">
<h3>{{ one.question }}{% if n_outputs > 1 %} <span class="soft">({{ one.output }})</span>
{% endif %}</h3>
<p class="answer {{ one.tone }}">{{ one.answer }}</p>
{% if one.reason %}<p>{{ one.title }}: no value, {{ one.reason }}.</p>
{% else %}
<p class="change"><span class="from">{{ one.before|score2 }} →</span> {{ one.after|score2 }}</p>
{{ parts.track(one.before, one.after) }}
<p class="small soft"><b>{{ one.title }}</b>, before and after, from 0 to 1
{%- if one.scale %}: {{ one.scale }}{% endif %}.</p>
{% endif %}
</div>
{% endmacro %}

{% macro verdict() %}
<section aria-labelledby="verdict">
<h2 id="verdict">Verdict</h2>
{% if findings %}
<div class="findings">{% for one in findings %}{{ finding(one) }}{% endfor %}</div>
<p class="note warn"><strong>Read with care.</strong> {{ evaluation.note }} {{ label_note }}</p>
{% elif run.status == "finished" and simulated %}
<p>The run was not scored. <code>syncytium evaluate</code> with its folder scores it, and
<code>syncytium report</code> then makes this page again.</p>
{% elif run.status == "finished" %}
<p>{% if summed and summed.evaluated %}{% for sentence in summed_summary %}{{ sentence }}.
{% endfor %}<a href="#federated">What these figures mean.</a>{% else %}The coordinator has no cells,
and there are no scores by sums over sites.{% endif %} Each site has pictures of its own cells,
before and after, in <code>report.html</code> in its <code>output-dir</code>.</p>
{% else %}
<p>There is none: the run did not finish.</p>
{% endif %}
{% if run.identity %}
<div class="note bad"><p><strong>Nothing was corrected.</strong> No cell type is shared by two
batches: the output is log1p CP10k as it was.</p></div>
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
{% if unshifted or of_one_site %}
<div class="note warn"><strong>Cell types that were not shifted to a shared reference:</strong>
<ul>{% for name, reason in unshifted.items() %}<li>{{ name }}: {{ reason }}</li>{% endfor %}
{% for name in of_one_site %}<li>{{ name }}: held by one site, shifted by its own batches only</li>
{% endfor %}</ul></div>
{% endif %}
{% if look_at %}
<div class="note warn"><strong>Look at:</strong>
<ul>{% for sentence in look_at %}<li>{{ sentence }}</li>{% endfor %}</ul></div>
{% endif %}
</section>
{% endmacro %}

{% macro umaps() %}
<section aria-labelledby="pictures">
<h2 id="pictures">Before and after</h2>
{% if shown %}{{ parts.pictures(shown) }}{% else %}<p>{{ no_pictures }}</p>{% endif %}
</section>
{% endmacro %}

{% macro change(value, before, better) %}
{% if value is none or before is none %}{% else %}
{% set gain = (value - before) if better == "higher" else (before - value) %}
<span class="{{ 'same' if gain|abs < 0.005 else 'good' if gain > 0 else 'bad' }}">
{{- "%+.3f"|format(value - before) }}</span>{% endif %}
{% endmacro %}

{% macro scores() %}
<section aria-labelledby="scores">
<h2 id="scores">Scores</h2>
<p class="soft">From 0 to 1, of {{ evaluation.n_cells_scored|number }}
{%- if evaluation.subsample %} of {{ evaluation.n_cells|number }}{% endif %} cells,
{{ evaluation.n_batches }} batches and {{ evaluation.n_types }} cell types, on principal components
of each matrix. ↑ higher is better, ↓ lower. Clusters marked “best” are the best of
{{ evaluation.settings.resolutions|length }} resolutions, picked by the cell types: an upper
bound.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Scores over all cells">
<table class="scores">
<caption>Over all cells</caption>
<thead><tr><th scope="col">Score</th>{% for column in columns %}
<th scope="col" class="number">{{ column }}</th>
{% if not loop.first %}<th scope="col" class="number">change</th>{% endif %}{% endfor %}
</tr></thead>
{% for heading, rows in score_groups %}
<tbody><tr class="group"><th scope="rowgroup" colspan="{{ 2 * columns|length }}">{{ heading }}</th>
</tr>
{% for name, metric in rows %}<tr><th scope="row" class="name">{{ metric.title }}
{{ "↑" if metric.better == "higher" else "↓" }}</th>
{% for column in columns %}{% set one = evaluation.overall[column][name] %}
<td class="number">{{ one.value|score }}</td>
{% if not loop.first %}<td class="number">
{{- change(one.value, evaluation.overall[columns[0]][name].value, metric.better) }}</td>{% endif %}
{% endfor %}</tr>{% endfor %}</tbody>{% endfor %}
</table></div>
{% if label_note %}<p class="note warn">{{ label_note }}</p>{% endif %}
{% for reason in no_value %}<p class="small soft">– no value: {{ reason }}.</p>{% endfor %}
{% if evaluation.per_type %}
<div class="scroll" tabindex="0" role="region" aria-label="Scores by cell type">
<table class="sortable">
<caption>By cell type, before → after</caption>
<thead><tr><th scope="col">Cell type</th><th scope="col" class="number">Cells</th>
<th scope="col" class="number">Batches</th>
{% for _, title, column in type_columns %}<th scope="col" class="number">{{ title }}
{%- if columns|length > 2 %} ({{ column }}){% endif %}</th>{% endfor %}</tr></thead>
<tbody>{% for name, about in evaluation.per_type.items() %}
<tr><th scope="row" class="name">{{ name }}</th>
<td class="number" data-value="{{ about.n_cells }}">{{ about.n_cells|number }}</td>
<td class="number">{{ about.n_batches }}</td>
{% for metric, _, column in type_columns %}
{% set was = about.scores[columns[0]].get(metric) %}
{% set is = about.scores[column].get(metric) %}
<td class="number" data-value="{{ '' if is is none else is }}">
{{- was|score2 }} → {{ is|score2 }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{% endif %}
</section>
{% endmacro %}

{% macro training() %}
<section aria-labelledby="training">
<h2 id="training">Training</h2>
{% if chart %}
<p>{{ rounds|length }}{% if run.n_rounds %} of {{ run.n_rounds }}{% endif %} rounds
{%- if run.stopped_early %}: stopped early, since the validation loss no longer fell; the model
after round {{ run.kept_round }} is kept{% endif %}.</p>
{% for note in green_notes %}<p>{{ note }}.</p>{% endfor %}
<svg class="chart" viewBox="0 0 {{ chart_width }} {{ chart_height }}" role="img"
aria-label="{{ chart.alt }}">
{% for tick in chart.y_ticks %}<line class="grid" x1="56"
x2="{{ chart_width - chart_right }}" y1="{{ tick.at }}" y2="{{ tick.at }}"/>
<text x="48" y="{{ tick.at + 4 }}" text-anchor="end">{{ tick.text }}</text>
{% endfor %}
{% for tick in chart.x_ticks %}<text x="{{ tick.at }}" y="258" text-anchor="middle">
{{- tick.text }}</text>{% endfor %}
<text x="{{ (chart_width - chart_right + 56) / 2 }}" y="276" text-anchor="middle">round</text>
{% if chart.kept is not none %}<line class="kept" x1="{{ chart.kept }}" x2="{{ chart.kept }}"
y1="18" y2="238"/><text x="{{ chart.kept + (6 if chart.kept < 400 else -6) }}" y="14"
text-anchor="{{ 'start' if chart.kept < 400 else 'end' }}">{{ chart.kept_text }}</text>{% endif %}
{% for line in chart.lines %}{% for piece in line.pieces %}
<polyline class="{{ line.kind }}" points="{{ piece }}"/>{% endfor %}
{% for x, y in line.dots %}<circle class="{{ line.kind }}" cx="{{ x }}" cy="{{ y }}" r="3"/>
{% endfor %}
<text class="{{ line.kind }}" x="{{ chart_width - chart_right + 10 }}"
y="{{ line.label_y + 4 }}">{{ line.name }}</text>
{% endfor %}
</svg>
<p class="small soft">Validation: the joint model after a round, on cells held out at every
site. Training: within the round, of the joint model where a round is one step or one sum of all
sites, else of the sites' own models, which does not tell how good their mean is.
Both are means over all sites' cells.</p>
{% elif run.frozen %}<p>None: the model is that of run <code>{{ run.frozen.run }}</code>, from its
bundle. The references were made anew by all sites of this run.</p>
{% else %}<p>No round was finished.</p>{% endif %}
{% if void_rounds %}<div class="note warn"><strong>Rounds that do not count:</strong>
<ul>{% for line in void_rounds %}<li>round {{ line.round }} {{ line.void }}</li>{% endfor %}</ul>
</div>{% endif %}
</section>
{% endmacro %}
"""
