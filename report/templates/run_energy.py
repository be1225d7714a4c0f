"""What a run took: a section of its page."""

RUN_ENERGY = """
{% macro used() %}
<section aria-labelledby="energy">
<h2 id="energy">Energy and carbon</h2>
<p>{{ energy_summary }}.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Energy"><table>
<caption>Of the processes while they worked; memory's part is always estimated</caption>
<thead><tr><th scope="col">Who</th><th scope="col" class="number">CPU</th>
<th scope="col" class="number">GPU</th><th scope="col" class="number">Memory</th>
<th scope="col" class="number">All</th><th scope="col" class="number">Emissions</th>
<th scope="col">Known how</th></tr></thead>
<tbody>{% for row in energy_rows %}<tr><th scope="row">{{ row[0] }}</th>
{% for value in row[1:6] %}<td class="number">{{ value }}</td>{% endfor %}
<td>{{ row[6] }}</td></tr>{% endfor %}</tbody>
</table></div>
{% if carbon_saved %}<h3>Carbon-aware scheduling</h3>
<ul>{% for text in carbon_saved %}<li>{{ text }}</li>{% endfor %}</ul>{% endif %}
<details><summary>By phase</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Energy by phase"><table>
<thead><tr><th scope="col">Phase</th><th scope="col" class="number">Sites</th>
<th scope="col" class="number">Their emissions</th><th scope="col" class="number">Coordinator</th>
<th scope="col" class="number">Its emissions</th></tr></thead>
<tbody>{% for row in energy_phases %}<tr><th scope="row">{{ row[0] }}</th>
{% for value in row[1:] %}<td class="number">{{ value }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div></details>
<p class="small soft">The coordinator's emissions are by {{ energy.kg_per_kwh }} kg CO2e per kWh
({{ energy.country|replace("_", " ") }}); each site's by its own grid. Communication is not metered:
it is estimated from {{ energy.communication.bytes|bytes }} and a network's energy per GB.
{% for note in energy_notes %}{{ note }} {% endfor %}</p>
</section>
{% endmacro %}
"""
