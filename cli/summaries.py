"""What `syncytium run` says in the end, task by task."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli.console import shown
from cli.label_counts import label_counts
from report import carbon, classification, energy
from report.federated_evaluation import federated_evaluation, summary
from report.fine_tuning import fine_tuning
from report.green import green_notes


def summarise(result: dict[str, Any], out: Path, screen: Console) -> None:
    """Say what a finished run did and where its results are."""
    if not result:
        screen.print("The run is finished; its folder is on the coordinator's machine.")
        return
    told = {"correct": _corrected, "classify": _classified, "synthesize": _synthesized}
    told[result.get("task", "correct")](result, out, screen)
    for note in green_notes(result):
        screen.print(f"[yellow]green[/] {note}")
    if "energy" in result:
        screen.print(f"[cyan]energy[/] {energy.summary(result['energy'])}")
        for sentence in carbon.saved_by_sites(result["energy"]):
            screen.print(f"[cyan]carbon[/] {sentence}")


def _lost(result: dict[str, Any], screen: Console) -> None:
    for site, reason in result.get("lost_sites", {}).items():
        screen.print(f"[yellow]lost[/] {escape(site)}: {escape(reason)}")


def _classified(result: dict[str, Any], out: Path, screen: Console) -> None:
    classes, rounds = result["classes"], f"{result.get('n_rounds', 0)} rounds"
    if stopped := result.get("stopped_early"):
        rounds = f"stopped early in round {stopped}, the model after round "
        rounds += f"{result['kept_round']} is kept"
    screen.print(
        f"[bold green]done[/]: {escape(result['config']['classifier'])} of {len(classes)} classes "
        f"trained on {result['n_train']:,} cells of {len(result['sites'])} sites "
        f"({result['n_genes']:,} genes, {rounds})"
    )
    _lost(result, screen)
    if not result.get("converged", True):
        screen.print("[yellow]the optimum was not reached: raise rounds[/]")
    if (found := result.get("validation")) is not None:
        screen.print(
            f"[cyan]validation[/] accuracy {found['accuracy']:.3f}, macro-F1 "
            f"{found['macro_f1']:.3f}"
        )
    if "target_reached" in result:
        screen.print(_target(result))
    for sentence in fine_tuning(result):
        screen.print(f"[cyan]bundle[/] {escape(sentence)}")
    for key, what in (("merged_labels", "in other"), ("left_out_labels", "left out")):
        for label in result.get(key, []):
            screen.print(f"[yellow]{what}[/] {escape(label)}: too few sites hold it")
    if (scores := classification.classification(out)) is not None:
        for sentence in classification.summary(scores):
            screen.print(f"[{'cyan' if scores['evaluated'] else 'yellow'}]test[/] {sentence}")
    screen.print(f"classifier, genes, classes: {shown(out / 'bundle')}", markup=False)


def _target(result: dict[str, Any]) -> str:
    """Whether the macro-F1 that the run sought was reached, and when."""
    target, reached = result["config"]["target-f1"], result["target_reached"]
    if reached is None:
        return f"[yellow]target[/] macro-F1 {target:g} on validation cells was not reached"
    return (
        f"[cyan]target[/] macro-F1 {target:g} on validation cells was reached by the model after "
        f"round {reached}"
    )


def _synthesized(result: dict[str, Any], out: Path, screen: Console) -> None:
    privacy = result["privacy"]
    screen.print(
        f"[bold green]done[/]: {result['n_synthetic']:,} synthetic records of "
        f"{len(result['classes'])} classes by {escape(privacy['generator'])}, from sums over "
        f"{privacy['n_sites']} sites ({result['n_genes']:,} genes)"
    )
    _lost(result, screen)
    for label in result.get("left_out_labels", []):
        screen.print(f"[yellow]left out[/] {escape(label)}: too few sites hold it")
    if told := result.get("usefulness"):
        colour = "cyan" if told["grade"] == "good" else "yellow"
        screen.print(f"[{colour}]use[/] by rule of thumb: {escape(told['why'])}")
    if privacy["private"]:
        screen.print(
            f"[cyan]privacy[/] epsilon {privacy['epsilon']:g} at delta {privacy['delta']:g}, for a "
            f"{privacy['unit']} more or less"
        )
        for t, epsilon in privacy["epsilon_colluding"].items():
            told = "not stated" if epsilon is None else f"epsilon {epsilon:.3g}"
            sites = f"{t} colluding site{'' if t == '1' else 's'}"
            screen.print(f"[cyan]privacy[/] against {sites}: {told}")
    for what in privacy["not_covered"]:
        screen.print(f"[yellow]not covered[/] {escape(what)}")
    screen.print(f"cohort: {shown(out / 'synthetic.h5ad')}", markup=False)
    screen.print(f"to sample more of, for free: {shown(out / 'bundle')}", markup=False)


def _corrected(result: dict[str, Any], out: Path, screen: Console) -> None:
    n_sites = result["n_sites_corrected"]
    stopped = result.get("stopped_early")
    rounds = f"{result.get('n_rounds', 0)} rounds"
    if frozen := result.get("frozen"):
        rounds = f"the model of run {frozen['run']} as it was"
    if stopped:
        kept = result["kept_round"]
        rounds = f"stopped early in round {stopped}, the model after round {kept} is kept"
    screen.print(
        f"[bold green]done[/]: {result['n_corrected']:,} cells of {n_sites} sites corrected, "
        f"{result['n_shifted']:,} of them shifted to a shared reference "
        f"({result['n_genes']:,} genes, {rounds})"
    )
    _lost(result, screen)
    for cell_type, reason in result.get("unshifted_types", {}).items():
        screen.print(f"[yellow]not shifted[/] {escape(cell_type)}: {escape(reason)}")
    for cell_type in result.get("types_of_one_site", []):
        screen.print(f"[yellow]of one site[/] {escape(cell_type)}: shifted by its own batches only")
    for line in label_counts(result):
        screen.print(f"[yellow]labels[/] {line}")
    if result.get("identity"):
        screen.print(
            "[yellow]no cell type is shared by two batches: the correction is the identity, the "
            "output is log1p CP10k unchanged[/]"
        )
    if (evaluated := federated_evaluation(out)) is not None:
        good = evaluated["evaluated"] and all(s["value"] for s in evaluated["scores"].values())
        for sentence in summary(evaluated):
            screen.print(f"[{'cyan' if good else 'yellow'}]by sums[/] {escape(sentence)}")
    # Real sites keep theirs.
    simulated = (out / "sites").is_dir()
    cells = (
        f"{shown(out)}/sites/*/corrected.h5ad" if simulated else "at each site, in its output-dir"
    )
    screen.print(f"corrected cells: {cells}", markup=False)
    screen.print(f"model, genes, references: {shown(out / 'bundle')}", markup=False)
