"""Write the reference pages that are made from the code: settings.md and wire.md."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from common.config import OF_TASK, SIMULATION_KEYS, RunConfig
from common.models.classifiers.registry import CLASSIFIERS
from common.node_config import NodeConfig
from common.policy import SitePolicy
from common.presets import PRESETS
from common.settings import Settings
from common.strategy_names import OF_CHECKPOINT, OF_CLASSIFIER
from common.task_phases import EVERY, PHASES_OF
from common.wire import PHASES
from common.wire_fields import Masked, Shares

NETWORKS = [n for n in CLASSIFIERS.names() if CLASSIFIERS.get(n).fitted == "network"]
HERE = Path(__file__).parent
NOTE = "<!-- Made by `make docs` from {source}; do not edit. -->\n"


def settings() -> str:
    """Every key of the run config and the node config, and the presets."""
    page = ["# Settings", NOTE.format(source="common/config.py and common/presets.py")]
    of_a_task = {name for names in OF_TASK.values() for name in names}
    page += [
        "## A run",
        "In a file for `syncytium run`, by `--set key=value`, or by `flwr run --run-config`. Of "
        "the network and its training, 0 or '' stands for the preset's own value. "
        f"{', '.join(f'`{key}`' for key in SIMULATION_KEYS)} are for simulated sites: a real one "
        "says in its node config which file and which columns are read, and whose labels these "
        "are.\n",
        _keys(RunConfig, [name for name in RunConfig.model_fields if name not in of_a_task]),
        "\n### `task = correct` alone\n",
        _keys(RunConfig, OF_TASK["correct"]),
        "\n### `task = classify` alone\n",
        "0, -1 or '' stands for the classifier's own value.\n",
        _keys(RunConfig, OF_TASK["classify"]),
        "\n### `task = synthesize` alone\n",
        "All of them are public; [synthesize.md](synthesize.md).\n",
        _keys(RunConfig, OF_TASK["synthesize"]),
        "\n## A site",
        "In `syncytium-supernode --node-config`, by the site itself; a simulation makes them.\n",
        _keys(NodeConfig),
        "\n## A site's policy",
        "In the file that the node config's `policy` names; `syncytium policy FILE` writes one "
        "with all rules. Nothing in a run's settings can lower it, and a refusal names its rule.\n",
        _keys(SitePolicy),
        "\n## Presets",
        _presets(),
        "\n## Classifiers",
        "Forms: "
        + "; ".join(f"`{n}` {', '.join(CLASSIFIERS.get(n).forms)}" for n in CLASSIFIERS.names())
        + ". Where a run names no `strategy`, a round of a network is one step of all sites "
        f"(`{OF_CLASSIFIER}`), from a checkpoint `{OF_CHECKPOINT}`; with any other strategy, and "
        "for `logistic` and `svm` then too, the second table holds. Without a strategy these two "
        "are brought to their optimum.\n",
        _classifiers(),
    ]
    return "\n".join(page) + "\n"


def _keys(config: type[Settings], names: Iterable[str] | None = None) -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name in config.model_fields if names is None else names:
        field = config.model_fields[name]
        default = "required" if field.is_required() else f"`{field.default!r}`"
        if field.default is None:
            default = ""
        rows.append(f"| `{name.replace('_', '-')}` | {default} | {field.description or ''} |")
    return "\n".join(rows)


def _presets() -> str:
    rows = [f"| | {' | '.join(PRESETS)} |", "|---|" + "---|" * len(PRESETS)]
    tables = [
        {
            "model": preset.model,
            **asdict(preset.shape),
            **asdict(preset.training),
            "principal_axes": preset.principal_axes,
            "refit_decoder": preset.refit_decoder,
        }
        for preset in PRESETS.values()
    ]
    for key in tables[0]:
        rows.append(f"| {key} | {' | '.join(str(table[key]) for table in tables)} |")
    return "\n".join(rows)


def _classifiers() -> str:
    names = CLASSIFIERS.names()
    local = {name: asdict(CLASSIFIERS.get(name).training) for name in names}
    joint = {
        n: values | dict(getattr(CLASSIFIERS.get(n), "joint", {})) for n, values in local.items()
    }
    tables = []
    for title, recipes, shown in (
        ("a round is one step of all sites", joint, NETWORKS),
        ("local training, and what else is fitted", local, names),
    ):
        rows = [f"| {title} | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
        for key in recipes[shown[0]]:
            rows.append(f"| {key} | {' | '.join(str(recipes[name][key]) for name in shown)} |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def wire() -> str:
    """Every field that may leave a site."""
    page = [
        "# What leaves a site",
        NOTE.format(source="common/wire.py"),
        "A site sends nothing else: its outbox checks each field against this table, in the code, "
        "and writes it to the site's own `outbox.jsonl`. *Summed* fields reach the coordinator in "
        "fixed point, as sums over sites; *shares* are random words until those of all sites are "
        "added. *Public* ones are names, versions, and the keys and key "
        "shares of the masked sums. A site that cannot "
        "answer sends the kind of error and a reason without any of its values, and logs that "
        "too.\n",
        "| phase | field | | shape | what |",
        "|---|---|---|---|---|",
    ]
    for name, phase in PHASES.items():
        for key, field in phase.fields.items():
            kind = {Masked: "summed", Shares: "shares"}.get(type(field), "public")
            shape = (field.shape or "one number") if isinstance(field, Masked) else ""
            page.append(f"| {name} | `{key}` | {kind} | {shape} | {field.meaning} |")
    page += [
        "\nWhere sums are masked, a reply with summed fields also carries the fields of `offers`: "
        "keys for the sum after it ([secure-sum.md](secure-sum.md)).\n",
        "In a run a site answers the phases of its task alone, refuses all others and logs that. "
        f"Of every task: {', '.join(EVERY)}. Of one:\n",
        *(
            f"- `{task}`: {', '.join(phase for phase in phases if phase not in EVERY)}"
            for task, phases in PHASES_OF.items()
        ),
    ]
    return "\n".join(page) + "\n"


PAGES = {"settings.md": settings, "wire.md": wire}

if __name__ == "__main__":
    for page_name, make in PAGES.items():
        (HERE / page_name).write_text(make())
