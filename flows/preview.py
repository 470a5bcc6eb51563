"""`subtext preview`: one persona of a config on the terminal, with what is hidden in each session marked. Nothing is kept."""

import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from flows.pipeline import run_pipeline
from flows.progress import Progress
from flows.runner import ThreadRunner
from schemas.config import Config
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.session import Session
from store.parts import read_part

_LEAST_BUDGET = 1000


def preview(config: Config, console: Console) -> None:
    """Write one persona and print it: the facts, then every session that is not padding, in order of time."""
    seeds = {"builtin_count": 1, "personas_per_seed": 1} | ({"limit": 1} if config.seeds.path else {})
    small = config.model_copy(
        update={
            "seeds": config.seeds.model_copy(update=seeds),
            "assemble": config.assemble.model_copy(update={"budgets": (_LEAST_BUDGET,)}),
        }
    )
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere, Progress(nowhere) as progress:
        outcome = run_pipeline(small, Path(folder), ThreadRunner(1, progress), progress, "distract")
        (expansion,) = read_part(outcome.folder, "expand", 0, Expansion)
        sessions = [*read_part(outcome.folder, "converse", 0, Session), *read_part(outcome.folder, "distract", 0, Session)]
    facts = {fact.fact_id: fact for fact in expansion.facts}
    console.print(Text(expansion.persona.profile_text, style="bold"))
    console.print()
    for fact in expansion.facts:
        console.print(Text(f"{fact.fact_id.partition('/')[2]:18} {_about(fact)}", style="red" if fact.status == "trap" else "green"))
    for session in sorted(sessions, key=lambda session: session.started_at):
        if session.noise_kind != "unrelated":
            _show(session, facts, console)


def _about(fact: Fact) -> str:
    when = f"from {fact.valid_from}" + (f" until {fact.valid_until}" if fact.valid_until else "")
    forget = f"; to be forgotten from {fact.forget_requested_at.date()}" if fact.forget_requested_at else ""
    whose = "not true of the user" if fact.owner == "self" else f"true of {fact.owner}"
    return f"{fact.attribute}: {fact.value} ({whose if fact.status == 'trap' else when}{forget})"


def _show(session: Session, facts: dict[str, Fact], console: Console) -> None:
    what = "; ".join(_about(facts[name]) for name in (*session.fact_ids, *session.trap_fact_ids)) or "says nothing"
    console.rule(f"{session.started_at:%d %b %Y}  {session.scenario}  {session.noise_kind or session.role}", align="left")
    console.print(Text(what, style="red" if session.role == "noise" else "green"))
    for number, message in enumerate(session.messages):
        text = Text(f"{message.role}: {message.content}", style="" if message.role == "user" else "dim")
        for span in session.evidence:
            if span.message == number:
                at = len(message.role) + 2
                text.stylize("bold black on green", at + span.start, at + span.end)
        console.print(text)
        console.print()
