"""The lower half of a run's page: what left the sites, losses, time, settings, versions."""

RUN_DETAILS = """
{% import "parts" as parts %}
{% macro sent() %}
<section aria-labelledby="sent">
<h2 id="sent">What left the sites</h2>
{% if phases %}
<p>{{ summary }}</p>
<p class="soft">Nothing else may leave: each site checks every field against one table before it is
sent and logs it in its own <code>outbox.jsonl</code>. <em>In sums</em>: the coordinator sees the
total over the sites
{%- if masked %}, since each site's part is under masks that cancel in the total alone{% endif %}.
</p>
<div class="scroll" tabindex="0" role="region" aria-label="What left the sites, by phase">
<table class="sortable">
<caption>By phase, over all sites</caption>
<thead><tr><th scope="col">Phase</th><th scope="col">In sums</th><th scope="col">Public</th>
<th scope="col" class="number">Messages</th><th scope="col" class="number">Sent</th>
<th scope="col" class="number">By each site</th></tr></thead>
<tbody>{% for phase in phases %}
<tr><th scope="row" class="name">{{ phase.name }}<br><span class="small soft">
{{- phase.meaning }}</span></th>
<td>{{ parts.fields(phase.summed) }}
{%- if phase.summed and not phase.masked %}<span class="bad small">not masked</span>{% endif %}</td>
<td>{{ parts.fields(phase.public) }}</td>
<td class="number" data-value="{{ phase.messages }}">{{ phase.messages|number }}</td>
<td class="number" data-value="{{ phase.bytes }}">{{ phase.bytes|bytes }}</td>
<td class="number" data-value="{{ phase.bytes_per_site[1] }}">
{%- set least, most = phase.bytes_per_site %}
{{- most|bytes if least|bytes == most|bytes else least|bytes ~ " – " ~ most|bytes }}</td>
</tr>{% endfor %}</tbody>
</table></div>
<div class="scroll" tabindex="0" role="region" aria-label="What left the sites, by site">
<table class="sortable">
<caption>By site</caption>
<thead><tr><th scope="col">Site</th><th scope="col" class="number">Messages</th>
<th scope="col" class="number">In masked sums</th>
<th scope="col" class="number">Outside them</th>
<th scope="col" class="number">Received</th></tr></thead>
<tbody>{% for site in sites %}
<tr><th scope="row" class="name">{{ site.site }}</th>
<td class="number" data-value="{{ site.messages }}">{{ site.messages|number }}</td>
<td class="number" data-value="{{ site.masked }}">{{ site.masked|bytes }}</td>
<td class="number" data-value="{{ site.public }}">{{ site.public|bytes }}</td>
<td class="number" data-value="{{ site.received }}">{{ site.received|bytes }}</td></tr>
{% endfor %}</tbody>
</table></div>
<div class="scroll" tabindex="0" role="region" aria-label="Bytes by site and phase">
<table class="sortable">
<caption>Sent by each site in each phase</caption>
<thead><tr><th scope="col">Site</th>{% for phase in phases %}
<th scope="col" class="number">{{ phase.name }}</th>{% endfor %}</tr></thead>
<tbody>{% for site in sites %}
<tr><th scope="row" class="name">{{ site.site }}</th>
{% for phase in phases %}{% set sent_bytes = phase.by_site.get(site.site) %}
<td class="number" data-value="{{ '' if sent_bytes is none else sent_bytes }}">
{{- "–" if sent_bytes is none else sent_bytes|bytes }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{% else %}<p>Nothing: no site was asked.</p>{% endif %}
</section>
{% endmacro %}

{% macro details() %}
<section aria-labelledby="details">
<h2 id="details">Details</h2>
<h3>Losses of sites</h3>
{% if losses %}
<div class="scroll" tabindex="0" role="region" aria-label="Losses of sites"><table>
<thead><tr><th scope="col">Site</th><th scope="col">Phase</th><th scope="col">When</th>
<th scope="col">Why</th><th scope="col">Back</th></tr></thead>
<tbody>{% for loss in losses %}<tr><th scope="row" class="name">{{ loss.site }}</th>
<td>{{ loss.phase }}</td><td>{{ loss.time|moment }}</td><td class="text">{{ loss.reason }}</td>
<td>{{ loss.returned|moment if loss.returned else "no" }}</td></tr>{% endfor %}</tbody>
</table></div>
{% else %}<p>None.</p>{% endif %}
{% if times %}
<h3>Time by phase</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Time by phase">
<table class="sortable">
<caption>Openings of its sums included; the rest of {{ took|duration }} went to starting up and to
the coordinator's own work</caption>
<thead><tr><th scope="col">Phase</th><th scope="col" class="number">Times</th>
<th scope="col" class="number">Time</th><th scope="col">Share of the run</th></tr></thead>
<tbody>{% for phase in times %}<tr><th scope="row" class="name">{{ phase.name }}</th>
<td class="number">{{ phase.times }}</td>
<td class="number" data-value="{{ phase.seconds }}">{{ phase.seconds|duration }}</td>
<td class="share" data-value="{{ phase.seconds }}"><svg class="bar" viewBox="0 0 100 10"
preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="100" height="10"/>
<rect width="{{ [100 * phase.seconds / took, 100]|min }}" height="10"/></svg>
{{ "%.0f"|format(100 * phase.seconds / took) }} %</td></tr>{% endfor %}</tbody>
</table></div>
{% endif %}
{% if about_sites %}
<h3>Sites</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Sites"><table class="sortable">
<caption>How many {{ "records" if synthesis else "cells" }} a site has it did not tell</caption>
<thead><tr><th scope="col">Site</th><th scope="col" class="number">Genes</th>
<th scope="col" class="number">Genes it lacks</th><th scope="col">Versions</th></tr></thead>
<tbody>{% for site, about in about_sites %}<tr><th scope="row" class="name">{{ site }}</th>
<td class="number" data-value="{{ about.n_genes }}">{{ about.n_genes|number }}</td>
<td class="number">{{ about.lacks }}</td><td class="text">{{ about.versions }}</td></tr>
{% endfor %}</tbody>
</table></div>
{% endif %}
{% if largest %}
<h3>References</h3>
<div class="scroll" tabindex="0" role="region" aria-label="References"><table class="sortable">
<caption>Cells of the largest batch of each shared type, towards whose mean the others were
shifted; whose it is nobody learns</caption>
<thead><tr><th scope="col">Cell type</th><th scope="col" class="number">Cells</th></tr></thead>
<tbody>{% for name, n_cells in largest.items() %}<tr><th scope="row" class="name">{{ name }}</th>
<td class="number" data-value="{{ n_cells }}">{{ n_cells|number }}</td></tr>{% endfor %}</tbody>
</table></div>
{% endif %}
<h3>Settings that differ from the default</h3>
{% if settings %}
<div class="scroll" tabindex="0" role="region" aria-label="Settings"><table class="sortable">
<thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">Default</th>
<th scope="col">Meaning</th></tr></thead>
<tbody>{% for one in settings %}<tr><th scope="row"><code>{{ one.key }}</code></th>
<td class="name"><code>{{ one.value|setting }}</code></td>
<td><code>{{ one.default|setting }}</code></td><td class="text">{{ one.meaning }}</td></tr>
{% endfor %}</tbody>
</table></div>
{% else %}<p>None.</p>{% endif %}
{% if network %}
<h3>Network and training: preset <code>{{ run.config.preset }}</code></h3>
<p>{% for key, value in network.items() %}<code>{{ key }} = {{ value }}</code>
{%- if not loop.last %} · {% endif %}{% endfor %}
{%- if run.n_parameters %} · {{ run.n_parameters|number }} parameters{% endif %}</p>
{% endif %}
<h3>Versions at the coordinator</h3>
<p>{% for name, version in versions.items() %}{{ name }} {{ version }}
{%- if not loop.last %} · {% endif %}{% endfor %}</p>
{% if evaluation %}<p class="small soft">Scored with {% for name, version in
evaluation.versions.items() %}{{ name }} {{ version }}{% if not loop.last %}, {% endif %}
{%- endfor %}, in {{ evaluation.seconds|duration }}.</p>{% endif %}
</section>
{% endmacro %}
"""
