"""The audit of a published dataset: every figure, the verdicts, and what is only reported. The same dataset gives the same result."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from validators.audit.choosing import choosing_figures
from validators.audit.contamination import contamination_figures, find_overlaps
from validators.audit.embeddings import embed_questions
from validators.audit.evidence import evidence_figures
from validators.audit.findings import NOTHING, Findings
from validators.audit.guessing import guess_figures
from validators.audit.plan import plan_figures
from validators.audit.probes import probe_figures
from validators.audit.reported import PERSONAMEM_V2, reported
from validators.audit.sharing import sharing_figures
from validators.audit.statistics import Figure, Judged, judge
from validators.audit.tables import Published


def audit(published: Published, earlier: Sequence[Path] = (), against: Sequence[Path] = (), known: Findings = NOTHING) -> dict[str, Any]:
    """All figures by name, with their verdicts; `passed` unless one that blocks is broken; and what was found beside the tables.

    `earlier`: `splits.parquet` of earlier versions, whose personas must not have moved. `against`: files with texts, such as evaluation
    sets, with which the dataset must have nothing in common. `known`: what is known of these tables already; of files in `against`, it
    is found anew.
    """
    found = known.model_copy(update={"overlaps": {**known.overlaps, **find_overlaps(published, against)}})
    figures = all_figures(published, earlier, found)
    judged = judge(figures)
    return {
        "passed": not any(figure.blocks and judged[figure.name].verdict == "broken" for figure in figures),
        "figures": {figure.name: _row(figure, judged[figure.name]) for figure in figures},
        "reported": reported(published),
        **found.model_dump(mode="json"),
    }


def all_figures(published: Published, earlier: Sequence[Path] = (), found: Findings = NOTHING) -> list[Figure]:
    """The figures that have limits, in the order in which they are shown."""
    return [
        *_chosen_figures(published),
        *guess_figures(published, found.guesses),
        *evidence_figures(published),
        *sharing_figures(published, earlier),
        *contamination_figures(published, found.overlaps),
        *plan_figures(published),
    ]


def _chosen_figures(published: Published) -> list[Figure]:
    """What needs embeddings of all questions, which are let go of before near duplicates take their memory."""
    embeddings = embed_questions(published)
    return [*choosing_figures(published, embeddings), *probe_figures(published, embeddings)]


def earlier_versions(root: Path) -> list[Path]:
    """`splits.parquet` of the versions beside `root` whose names come before its own, number by number."""
    mine = root.resolve()
    return [
        path
        for path in sorted(mine.parent.glob("*/splits.parquet"))
        if (path.parent / "manifest.json").is_file() and _order(path.parent.name) < _order(mine.name)
    ]


def limit_text(figure: dict[str, Any]) -> str:
    """A limit for people: `≤ 28 %`, `25 ± 2 %`, `0`."""
    low, high, form = figure["limit"]["low"], figure["limit"]["high"], figure["form"]
    if form == "count":
        return f"{high:g}"
    if low is None:
        return f"≤ {high:g}" if form == "number" else f"≤ {high * 100:g} %"
    return f"{low * 100:g} %" if high is None else f"{(low + high) * 50:g} ± {round((high - low) * 50, 6):g} %"


def value_text(figure: dict[str, Any]) -> str:
    """A value for people."""
    value, form = figure["value"], figure["form"]
    if value is None:
        return "-"
    if form == "share":
        return f"{value * 100:.2f} %" if 0.999 <= value < 1 else f"{value * 100:.1f} %"  # a violation in ten thousand is one
    return f"{value:,.0f}" if form == "count" else f"{value:.3f}"


def card_rows(audited: Mapping[str, Any]) -> list[dict[str, str]]:
    """The figures that a card shows: all but the censuses that hold."""
    return [
        {"name": name, "value": value_text(figure), "limit": limit_text(figure), "verdict": figure["verdict"]}
        for name, figure in audited["figures"].items()
        if figure["users"] is not None or figure["verdict"] != "ok"
    ]


def review_text(review: Mapping[str, Any]) -> str:
    """What people found, in a sentence for the card: kappa, its 95 % interval and the number of answers, of all who reviewed together."""
    rows = [row for row in review["rows"] if row["against"] in ("labels", "implicit")]
    everybody = [row for row in rows if row["people"] == "all"] or rows
    said = []
    for row in everybody:
        if row["answers"]:
            kappa = "κ -" if row["kappa"] is None else f"κ {row['kappa']:.2f}"
            interval = "" if row["low"] is None else f", 95 % interval {row['low']:.2f} to {row['high']:.2f}"
            against = "labels" if row["against"] == "labels" else "rule"
            said.append(f"{row['what']} against the {against} {kappa} (agreement {row['agreement']:.2f}{interval}, n = {row['answers']})")
    return f"{review['state']}{': ' * bool(said)}{'; '.join(said)}"


def _order(name: str) -> list[tuple[int, str]]:
    """A version's name so that 0.10.0 comes after 0.9.0."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.replace("-", ".").split(".")]


def _row(figure: Figure, judged: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {
        "value": _rounded(figure.value, down=figure.limit.low == 1),
        "limit": {"low": _rounded(figure.limit.low), "high": _rounded(figure.limit.high)},
        "verdict": judged.verdict,
        "n": figure.units.n,
        "unit": figure.units.what,
        "users": len(figure.users) if figure.errors else None,
        "bound": _rounded(judged.bound),
        "p": _rounded(judged.p),
        "form": figure.form,
        "blocks": figure.blocks,
    }
    if figure.name in PERSONAMEM_V2:
        row["personamem_v2"] = PERSONAMEM_V2[figure.name]
    return row


def _rounded(value: float | None, down: bool = False) -> float | None:
    """Four places; down where a single violation must not be rounded away."""
    if value is None:
        return None
    return math.floor(value * 10_000 + 1e-9) / 10_000 if down else round(value, 4)
