"""Renders a page: escaped text, a strict content security policy, one file that appears whole."""

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from report.templates.comparison_page import COMPARISON_PAGE
from report.templates.label_page import LABEL_PAGE
from report.templates.parts import FRAME, PARTS
from report.templates.run_classification import RUN_CLASSIFICATION
from report.templates.run_details import RUN_DETAILS
from report.templates.run_energy import RUN_ENERGY
from report.templates.run_evaluation import RUN_EVALUATION
from report.templates.run_page import RUN_PAGE
from report.templates.run_results import RUN_RESULTS
from report.templates.run_synthesis import RUN_SYNTHESIS
from report.templates.script import SCRIPT
from report.templates.site_page import SITE_PAGE
from report.templates.style import STYLE

NAME = "report.html"
TEMPLATES = {
    "frame": FRAME,
    "parts": PARTS,
    "run": RUN_PAGE,
    "run_results": RUN_RESULTS,
    "run_classification": RUN_CLASSIFICATION,
    "run_evaluation": RUN_EVALUATION,
    "run_synthesis": RUN_SYNTHESIS,
    "run_energy": RUN_ENERGY,
    "run_details": RUN_DETAILS,
    "site": SITE_PAGE,
    "label": LABEL_PAGE,
    "comparison": COMPARISON_PAGE,
}


def render(template: str, **values: Any) -> str:
    """A page; every value that is put in is escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        # A number and its unit stay on one line.
        "bytes": lambda value: in_bytes(value).replace(" ", "\u00a0"),
        "duration": lambda value: duration(value).replace(" ", "\u00a0"),
        "moment": moment,
        "percent": percent,
        "number": lambda value: f"{value:,}",
        "score": lambda value: "–" if value is None else f"{value:.3f}",
        "score2": lambda value: "–" if value is None else f"{value:.2f}",
        "setting": lambda value: repr(value) if isinstance(value, str) else f"{value}",
    }
    page = environment.get_template(template).render(
        style=STYLE, script=SCRIPT, policy=_policy(), made=datetime.now(UTC).isoformat(), **values
    )
    return page.lstrip()


def write(page: str, folder: Path) -> Path:
    """Write ``report.html`` under a temporary name, then rename it."""
    partial = folder / f".report-{os.getpid()}.part"
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(folder / NAME)
    finally:
        partial.unlink(missing_ok=True)
    return folder / NAME


def _policy() -> str:
    """Nothing is loaded from anywhere; of style and script, those of the page alone."""
    allowed = {"style-src": STYLE, "script-src": SCRIPT}
    parts = [f"{key} 'sha256-{_digest(text)}'" for key, text in allowed.items()]
    return "; ".join(
        ["default-src 'none'", "img-src data:", *parts, "base-uri 'none'", "form-action 'none'"]
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def in_bytes(value: float) -> str:
    """Bytes in the largest unit that leaves a number of at least one."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} B"


def percent(share: float) -> str:
    """A share, 0 to 1; what is not all is not called 100 %, nor what is not nothing 0 %."""
    if 0 < share < 0.005:
        return "< 1\u00a0%"
    shown = round(100 * share)
    return "> 99\u00a0%" if shown == 100 and share < 1 else f"{shown}\u00a0%"


def duration(seconds: float) -> str:
    """Seconds as a reader says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes_rest = divmod(minutes, 60)
    return f"{hours} h {minutes_rest} min" if hours else f"{minutes} min {rest} s"


def moment(iso: str) -> str:
    """An ISO date and time in UTC; itself where it is none."""
    try:
        at = datetime.fromisoformat(iso).astimezone(UTC)
    except ValueError:
        return iso
    return f"{at.day} {at:%b %Y, %H:%M} UTC"
