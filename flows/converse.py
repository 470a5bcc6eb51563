"""Stage 3, converse: each fact shows in one or two sessions in which the user is after something else.

What is planned (which fact shows when, how clearly, in which scenario) depends on the persona's facts alone; what is written is the
author's. A session whose evidence is not in the user's own words, or which says the value outright, is rejected with the reason.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from author.seam import Unwritten
from flows.run import Run, gather, unwritten
from flows.timeline import Life, forget_distance, life_of, waking
from prompts.catalogue import load_catalogue
from schemas.drafts import ConversationDraft, SessionDraft
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import derive, rng
from schemas.outcome import Reject, Verdict
from schemas.persona import Persona
from schemas.session import SCENARIOS, Cue, Scenario, Session, SessionRole
from store.parts import Produced, Receipt, ensure_part, read_part
from text.encoder import encoder_id
from text.tokenizer import TokenCounter
from validators.session_checks import Showing, failed, showing_verdicts
from validators.user_text import locate

STAGE = "converse"
VERSION = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """One session to be written."""

    session_id: str
    fact: Fact
    role: SessionRole
    at: datetime
    scenario: Scenario
    cue: Cue | None
    ordinal: int
    """How many sessions with such a cue the fact has before this one."""


def converse_shard(run: Run, index: int, upstream: Receipt) -> Receipt:
    """Make (or find) the part of one shard."""
    inputs = (
        VERSION, run.seed, run.author.id_for(STAGE), run.tokens.id, run.config.converse.model_dump_json(), *run.judged(),
        run.config.expand.months, load_catalogue(), encoder_id(), upstream.content,
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, read_part(run.folder, "expand", index, Expansion)))


def _produce(run: Run, expansions: Sequence[Expansion]) -> Produced:
    plans = [(expansion.persona, plan) for expansion in expansions for plan in plan_sessions(run, expansion)]
    written = gather([_write(run, persona, plan) for persona, plan in plans])
    sessions = [session for session, _ in written if isinstance(session, Session)]
    rejects = [reject for reject, _ in written if isinstance(reject, Reject)]
    verdicts = [verdict for _, given in written for verdict in given]
    return Produced(sessions, Session, rejects, {"session": len(plans)}, {"session": len(sessions)}, verdicts)


def plan_sessions(run: Run, expansion: Expansion) -> list[Plan]:
    """All sessions of a persona that show or withdraw a true fact, numbered in order of their facts."""
    name = expansion.persona.persona_id
    life = life_of(run.seed, name, run.config.expand.months)
    plans: list[Plan] = []
    scenarios: list[Scenario] = []
    for fact in expansion.facts:
        if fact.status == "trap":
            continue
        before: Counter[Cue | None] = Counter()
        for role, at, cue in _moments(run, fact, life):
            if not scenarios:
                scenarios = rng(run.seed, name, "scenarios", len(plans)).sample(SCENARIOS, len(SCENARIOS))
            plans.append(Plan(f"{name}/s{len(plans):03d}", fact, role, at, scenarios.pop(), cue, before[cue]))
            before[cue] += 1
    return plans


def _moments(run: Run, fact: Fact, life: Life) -> list[tuple[SessionRole, datetime, Cue | None]]:
    """When a fact shows, and how clearly: once clearly, and before or after that perhaps more faintly; or only ever faintly."""
    chance = rng(run.seed, fact.fact_id, "moments")
    length = life.end - life.start
    last = life.at(0.97)
    if fact.forget_requested_at:
        last = fact.forget_requested_at - max(forget_distance(run.seed, fact.fact_id) * length, timedelta(days=2))
    if fact.valid_until:
        last = min(last, datetime.combine(fact.valid_until, time(12), UTC) - max(0.02 * length, timedelta(days=2)))
    if fact.supersedes:
        first = datetime.combine(fact.valid_from, time(12), UTC) + 0.005 * length
        last = min(last, first + 0.07 * length)
    else:
        first = life.at(0.01)
    hinted = fact.cues_needed > 1
    count = fact.cues_needed if hinted else chance.randint(*run.config.converse.sessions_per_fact)
    clear = None if hinted else chance.randrange(count)
    times = sorted(first + (last - first) * chance.random() for _ in range(count))
    if fact.forget_requested_at:
        times[-1] = last  # what lies between is the distance that is planned
    role: SessionRole = "update" if fact.supersedes else "evidence"
    moments: list[tuple[SessionRole, datetime, Cue | None]] = [
        (role, waking(at, chance.random()), "clear" if number == clear else "faint") for number, at in enumerate(times)
    ]
    if fact.forget_requested_at:
        moments.append(("forget", fact.forget_requested_at, None))
    return moments


async def _write(run: Run, persona: Persona, plan: Plan) -> tuple[Session | Reject, tuple[Verdict, ...]]:
    request = {
        "persona": persona, "fact": plan.fact, "topic": (topic := load_catalogue()[plan.fact.attribute].topic), "scenario": plan.scenario,
        "cue": plan.cue, "ordinal": plan.ordinal,
    }  # fmt: skip
    try:
        draft = await run.author.write(f"converse/{plan.role}", request, SessionDraft, derive(run.seed, plan.session_id), plan.session_id)
    except Unwritten as gone:
        return unwritten(gone, plan.session_id, "session", STAGE), ()
    showing = Showing(
        session_id=plan.session_id, messages=draft.messages, style=persona.speaking_style, role=plan.role, cue=plan.cue,
        quotes=draft.quotes, fact=plan.fact, topic=topic, on=plan.at.date(), improvised=run.author.varies,
    )  # fmt: skip
    given = await showing_verdicts(showing, run.judge, derive(run.seed, plan.session_id, "judge"))
    if (verdict := failed(given)) is not None:
        return refused(run, verdict, draft, STAGE), given
    spans = [locate(draft.messages, quote, plan.fact.fact_id) for quote in draft.quotes]
    session = Session(
        session_id=plan.session_id,
        persona_id=persona.persona_id,
        started_at=plan.at,
        scenario=plan.scenario,
        owner="self",
        role=plan.role,
        noise_kind=None,
        cue=plan.cue,
        fact_ids=(plan.fact.fact_id,),
        trap_fact_ids=(),
        messages=draft.messages,
        evidence=tuple(span for span in spans if span is not None),
        tokens=count_tokens(run.tokens, draft),
    )
    return session, given


def refused(run: Run, verdict: Verdict, draft: ConversationDraft, stage: str) -> Reject:
    """The reject of a session that a validator turned down, with what was written."""
    return Reject(
        record_id=verdict.record_id, record_type="session", stage=stage, reason=verdict.validator, detail=verdict.reason,
        raw=draft.model_dump_json(), retry=verdict.record_id if run.author.varies else None,
    )  # fmt: skip


def count_tokens(tokens: TokenCounter, draft: ConversationDraft) -> int:
    """Tokens of all message contents."""
    return sum(tokens.count([message.content for message in draft.messages]))
