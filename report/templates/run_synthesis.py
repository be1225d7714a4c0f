"""What a run's page says of a synthetic cohort: privacy, use, looks, attacks."""

RUN_SYNTHESIS = """
{% import "parts" as parts %}
{% macro drawing(one) %}
<figure>
<figcaption>{{ one.title }}</figcaption>
<picture>
<source media="screen and (prefers-color-scheme: dark)" srcset="{{ one.dark }}">
<img class="drawing{{ " narrow" if one.narrow }}" src="{{ one.light }}" alt="{{ one.alt }}">
</picture>
</figure>
{% endmacro %}

{% macro cohort() %}
<section aria-labelledby="verdict">
<h2 id="verdict">The cohort</h2>
{% if run.status == "finished" %}
<div class="note{{ "" if synthesis.privacy_stated else " bad" }}"><strong>Privacy.</strong>
{% for sentence in synthesis.privacy %}<p>{{ sentence }}</p>{% endfor %}</div>{% endif %}
{% if synthesis.findings %}
<div class="findings">{% for one in synthesis.findings %}
<div class="finding tone-{{ one.tone }}">
<h3>{{ one.question }}</h3>
<p class="answer {{ one.tone }}">{{ one.answer }}</p>
<p class="change">{{ one.value }}</p>
{% if one.track %}{{ parts.track(one.track[0], one.track[1]) }}{% endif %}
<p class="small soft">{{ one.text }}.</p>
</div>{% endfor %}</div>
{% if synthesis.evaluated.audit.audited %}<p class="small soft">That no attack finds much proves
nothing: other attacks may find more. What is proven is epsilon.</p>{% endif %}
{% elif run.status == "finished" %}
<p>It was not scored: that takes real records. Whoever has some, a site or a simulation, scores it
with <code>syncytium evaluate {{ folder }} --real OWN.h5ad --held-out OTHERS.h5ad</code>, and
<code>syncytium report {{ folder }}</code> then makes this page again.</p>
{% else %}<p>There is none: the run did not finish.</p>{% endif %}
{% if not masked %}
<div class="note bad"><p><strong>Sums were not masked</strong> (<code>secure-sum = off</code>): the
coordinator could see each site's part of every sum, with that site's part of the noise alone.</p>
</div>
{% endif %}
{% if open_losses %}
<div class="note warn"><strong>Without {{ open_losses|length }} of the sites:</strong>
<ul>{% for site, reason in open_losses.items() %}<li>{{ site }}: {{ reason }}</li>{% endfor %}</ul>
</div>
{% endif %}
{% if synthesis.evaluated %}
<div class="note warn"><p><strong>Not to be published as it is.</strong> The scores and pictures on
this page are of real records, and no privacy is promised for them.</p></div>
{% endif %}
{% if run.usefulness %}<p>At this epsilon and so many records, by rule of thumb:
{{ run.usefulness.why }}.</p>{% endif %}
{% if run.synthetic %}
<h3>Classes</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Classes"><table class="sortable">
<caption>Synthetic records of each class{% if run.config["samples-per-class"] %}, as the settings
ask{% elif synthesis.privacy_stated %}, by the noisy counts{% endif %}</caption>
<thead><tr><th scope="col">Class</th><th scope="col" class="number">Records</th></tr></thead>
<tbody>{% for name, n in run.synthetic.items() %}<tr><th scope="row" class="name">{{ name }}</th>
<td class="number" data-value="{{ n }}">{{ n|number }}</td></tr>{% endfor %}</tbody>
</table></div>
{% endif %}
{% if synthesis.curve %}
<h3>What privacy costs</h3>
{{ drawing(synthesis.curve) }}
{% endif %}
</section>
{% endmacro %}

{% macro beside() %}
<section aria-labelledby="pictures">
<h2 id="pictures">Beside real records</h2>
{% if synthesis.shown %}
<div class="pair">
{% for row in synthesis.shown.rows %}<div>{% for picture in row.pictures %}
{{ parts.plot(picture) }}{% endfor %}{{ parts.legend(row.legend) }}</div>
{% endfor %}</div>
<p class="small soft">One layout of {{ synthesis.shown.settings }}. Distances between groups in a
UMAP mean little: what counts is whether real and synthetic records lie among each other. Made in
{{ synthesis.shown.seconds|duration }}.</p>
{% else %}<p>{{ synthesis.no_pictures }}</p>{% endif %}
<h3>Genes</h3>
<div class="pair">{% for one in synthesis.genes %}{{ drawing(one) }}{% endfor %}</div>
<p class="small soft">A dot is a gene; on the line both cohorts agree.
{%- if synthesis.one_variance %} Genes lie level where the budget bought no variances of single
genes: all got one.{% endif %}</p>
</section>
{% endmacro %}

{% macro figures() %}
{% set result = synthesis.evaluated %}
<section aria-labelledby="scores">
<h2 id="scores">Scores</h2>
<p class="soft">{{ result.n_records["synthetic"]|number }} synthetic records beside
{{ result.n_records["real"]|number }} that the cohort was made from
{%- if "held out" in result.n_records %}, and {{ result.n_records["held out"]|number }} held-out
ones. Real: held-out records in the cohort's place, or a classifier trained on real records
{%- else %}. No held-out records were given: classifiers are tested on the records that the cohort
was made from{% endif %}. ↑ higher is better, ↓ lower.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Scores of the cohort">
<table class="scores">
<caption>The synthetic cohort and, in its place, real records</caption>
<thead><tr><th scope="col">Score</th><th scope="col" class="number">synthetic</th>
<th scope="col" class="number">real</th></tr></thead>
{% for heading, rows in synthesis.score_groups.items() %}
<tbody><tr class="group"><th scope="rowgroup" colspan="3">{{ heading }}</th></tr>
{% for row in rows %}<tr><th scope="row" class="name">{{ row.title }}</th>
<td class="number">{{ row.synthetic|score }}</td><td class="number">{{ row.real|score }}</td></tr>
{% endfor %}</tbody>{% endfor %}
</table></div>
<ul class="small soft">{% for what in result.scores.settings.values() if what is string %}
<li>{{ what }}</li>{% endfor %}</ul>
</section>
{% endmacro %}

{% macro attacked() %}
{% set audit = synthesis.evaluated.audit %}
<section aria-labelledby="audit">
<h2 id="audit">Attacks</h2>
{% if not audit.audited %}<p>None was made: {{ audit.reason }}.</p>{% else %}
<p class="soft">Can an attacker who knows the population tell a {{ synthesis.evaluated.unit }} of
the cohort from another? Intervals at 95 %.</p>
{{ drawing(synthesis.attacks) }}
<div class="scroll" tabindex="0" role="region" aria-label="Membership inference">
<table>
<caption>Membership inference</caption>
<thead><tr><th scope="col">Attack by</th><th scope="col" class="number">AUC</th>
<th scope="col" class="number">Found at 1 % false positives</th>
<th scope="col" class="number">at 10 %</th></tr></thead>
<tbody>{% for name, found in audit.attacks.items() %}
<tr><th scope="row" class="name">{{ name|replace("_", " ") }}
<span class="small soft">{{ found.what }}</span></th>
{% for one in [found.auc] + found.tpr.values()|list %}<td class="number">{{ one.value|score }}
<span class="small soft">{{ one.low|score2 }} to {{ one.high|score2 }}</span></td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% if audit.not_traced %}<p class="small soft">The attack that knows the generator and its noisy
sums was not made: {{ audit.not_traced }}.</p>{% endif %}
<ul>
<li>Distance to the closest synthetic record, median: {{ audit.closest.train|score }} from records
of the cohort, {{ audit.closest.held_out|score }} from held-out ones; ratio
{{ audit.closest.ratio|score }} (1: nothing was copied).</li>
<li>{{ audit.closest.closer_to_train|percent }} of the synthetic records are closer to a record of
the cohort than to any of as many held-out ones (50 %: nothing was copied).</li>
<li>Exact copies of a record of the cohort: {{ audit.closest.copies|number }}; of a held-out one:
{{ audit.closest.copies_of_held_out|number }}.</li></ul>
{% endif %}
</section>
{% endmacro %}
"""
