"""`subtext audit`: the figures by which a dataset is judged, of a finished folder; and the same for a run that is being published."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.errors import InputError
from store.dataset import data_hash
from store.folder import write_json

if TYPE_CHECKING:
    from flows.run import Run

FILE = "audit.json"


@click.command("audit", epilog="Example: subtext audit output/demo/0.1.0 --against benchmark.jsonl")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what is written to audit.json instead of the table.")
@click.option(
    "--against", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="A text, .jsonl, .json or .parquet file with which the dataset must have no 13 words in a row in common; may be repeated.",
)  # fmt: skip
@click.pass_context
def audit_command(ctx: click.Context, folder: Path, as_json: bool, against: tuple[Path, ...]) -> None:
    """Judge a finished dataset by its figures, and write them to audit.json in it. Exits with 1 where one is broken."""
    from validators.audit.audit import audit, earlier_versions
    from validators.audit.findings import known_findings
    from validators.audit.tables import read_published

    refuse_missing(against)
    published = read_published(folder)
    named = _decontaminated(folder)
    known = known_findings(folder / FILE, data_hash(folder / "data"), named)
    found = _with_people(audit(published, earlier_versions(folder), against, known), folder, folder / "data")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)
        given = {path.name for path in against}
        for name in (name for name in named if name not in given):
            kept = "what was found when it was published is kept" if name in known.overlaps else "not compared with"
            click.echo(f"contamination: {name} is named in the config and was not given with --against; {kept}.")
    write_json(folder / FILE, found)
    ctx.exit(0 if found["passed"] else 1)


def audit_run(run: "Run", data: Path) -> dict[str, Any]:
    """Audit the tables that `run` has just written in the folder `data`, and keep the result in the run folder."""
    from flows.run import gather
    from validators.audit.audit import audit, earlier_versions
    from validators.audit.findings import Findings
    from validators.audit.guessing import guess
    from validators.audit.tables import Plan, read_tables

    config, root = run.config, run.folder.root
    against = [Path(name) for name in config.audit.decontaminate]
    earlier = earlier_versions(root)
    if config.seeds.splits_from:
        earlier.append(Path(config.seeds.splits_from))
    published = read_tables(data, Plan.of(config.public()))
    (guesses,) = gather([guess(run.judge, published, run.seed)]) if run.judge else ({},)
    found = _with_people(audit(published, earlier, against, Findings(guesses=guesses)), root, data)
    write_json(root / FILE, found)
    return found


def _with_people(found: dict[str, Any], root: Path, data: Path) -> dict[str, Any]:
    """What was found of the tables in the folder `data`, with what people said of them, and the hash by which a later audit knows them."""
    from validators.agreement import agreement_of

    people = agreement_of(root, data)
    rows = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in row.model_dump().items()} for row in people.rows
    ]
    return {**found, "review": {"state": people.state, "rows": rows}, "data": data_hash(data)}


def _decontaminated(root: Path) -> list[str]:
    """The names of the files that the config of a finished dataset wants it to be compared with."""
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    return [str(name) for name in manifest["config"].get("audit", {}).get("decontaminate", ())]


def broken_figures(found: Mapping[str, Any]) -> list[str]:
    """The names of the figures that are broken, and by which the dataset fails."""
    return [name for name, figure in found["figures"].items() if figure["blocks"] and figure["verdict"] == "broken"]


def refusal(run: "Run", found: dict[str, Any]) -> str | None:
    """Why what was audited must not be published; None where nothing is broken, or the config says that it is only to be written down."""
    from validators.audit.audit import limit_text, value_text

    if found["passed"] or run.config.audit.gate == "report":
        return None
    figures = {name: found["figures"][name] for name in broken_figures(found)}
    broken = ", ".join(f"{name} is {value_text(figure)}, limit {limit_text(figure)}" for name, figure in figures.items())
    return (
        f"not published, because the audit finds broken figures: {broken} (all figures: {run.folder.root / FILE}). Mend their cause and "
        "run a version of its own, or run this one again with --allow-failing: nothing is made anew, and the card gets a warning"
    )


def refuse_missing(against: Sequence[Path]) -> None:
    """Say before the work starts which file to compare with is not there."""
    if missing := [path for path in against if not path.is_file()]:
        raise InputError(f"{missing[0]} is no file to compare the dataset with")


def _print(found: dict[str, Any]) -> None:
    """One table of the figures with limits, then what is only reported, then what people found."""
    from rich.console import Console
    from rich.table import Table

    from flows.review import agreement_table
    from schemas.review import AgreementRow
    from validators.audit.audit import limit_text, value_text

    console = Console(soft_wrap=True, markup=False, highlight=False, width=None if sys.stdout.isatty() else 130)
    table = Table("figure", box=None, pad_edge=False)
    for name in ("value", "limit", "n"):
        table.add_column(name, justify="right")
    table.add_column("of")
    table.add_column("verdict")
    for name, figure in found["figures"].items():
        table.add_row(name, value_text(figure), limit_text(figure), f"{figure['n']:,}", figure["unit"], figure["verdict"])
    console.print(table)
    table = Table("reported", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("n", justify="right")
    table.add_column("of")
    for name, row in found["reported"].items():
        value = row["value"]
        table.add_row(name, "-" if value is None else f"{value:,}" if isinstance(value, float) else value, f"{row['n']:,}", row["unit"])
    console.print()
    console.print(table)
    console.print()
    if rows := [AgreementRow.model_validate(row) for row in found["review"]["rows"]]:
        console.print(agreement_table(rows))
    else:
        console.print(found["review"]["state"])
    broken = broken_figures(found)
    beside = [name for name, figure in found["figures"].items() if not figure["blocks"] and figure["verdict"] == "broken"]
    console.print(f"\nBroken: {', '.join(broken)}" if broken else "\nNo figure is broken." if not beside else "")
    if beside:
        console.print(f"Off the plan, by which no dataset fails: {', '.join(beside)}")
