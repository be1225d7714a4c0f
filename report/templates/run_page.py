"""The page of a run, from its parts."""

RUN_PAGE = """
{% extends "frame" %}
{% import "run_results" as results with context %}
{% import "run_classification" as classification with context %}
{% import "run_synthesis" as synthesis_parts with context %}
{% import "run_evaluation" as evaluation_parts with context %}
{% import "run_energy" as energy_parts with context %}
{% import "run_details" as details with context %}
{% block top %}
<h1>{{ title }} <span class="state {{ tone }}">{{ run.status }}</span></h1>
<p class="soft">Task <code>{{ run.task }}</code>, {% if run.task == "classify" %}classifier
<code>{{ run.config.classifier }}</code>{% elif synthesis %}generator
<code>{{ run.generator or run.config.generator }}</code>{% else %}preset
<code>{{ run.config.preset }}</code>
{%- endif %}.
Started {{ run.started|moment }}
{%- if run.ended %}, {{ "failed" if failed else "done" }} after {{ took|duration }}{% endif %}.
Run <code>{{ run.run_id }}</code>{% if run.resumed %}, resumed
{{ run.resumed|length }} time{{ "" if run.resumed|length == 1 else "s" }}{% endif %}.</p>
<dl class="facts">
{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
<nav aria-label="Sections"><ul>
{% for anchor, text in sections %}<li><a href="#{{ anchor }}">{{ text }}</a></li>
{% endfor %}</ul></nav>
{% endblock %}
{% block main %}
{% if run.status != "finished" %}{{ results.ended() }}{% endif %}
{% if run.task == "classify" %}{{ classification.classified() }}{% elif synthesis %}
{{ synthesis_parts.cohort() }}
{% if synthesis.evaluated %}{{ synthesis_parts.beside() }}{{ synthesis_parts.figures() }}
{{ synthesis_parts.attacked() }}{% endif %}{% else %}{{ results.verdict() }}
{% if run.status == "finished" %}{{ results.umaps() }}{% endif %}{% endif %}
{% if evaluation %}{{ results.scores() }}{% endif %}
{% if summed %}{{ evaluation_parts.federated() }}{% endif %}
{% if rounds or not synthesis %}{{ results.training() }}{% endif %}
{{ details.sent() }}
{% if energy %}{{ energy_parts.used() }}{% endif %}
{{ details.details() }}
{% endblock %}
{% block foot %}Made by Syncytium {{ version }} on {{ made|moment }} from the files of the run
folder; <code>syncytium report {{ folder }}</code> makes it again.{% endblock %}
"""
