"""Stage 4, distract: sessions that tell nothing true about the user, in seven kinds.

Six kinds are planned per persona and lay a trap each; `unrelated` fills what the largest budget leaves, with a margin for
what dedup will drop.
"""

import asyncio
from collections.abc import Mapping

from author.seam import Unwritten
from flows.converse import count_tokens, plan_sessions, refused
from flows.run import Run, gather, unwritten
from flows.timeline import life_of, waking
from flows.traps import trap_kind
from prompts.catalogue import load_catalogue
from schemas.drafts import ConversationDraft
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import derive, rng, unit_interval
from schemas.outcome import Reject, Verdict
from schemas.session import SCENARIOS, NoiseKind, Scenario, Session
from store.parts import Produced, Receipt, ensure_part, read_part
from validators.session_checks import Written, failed, noise_verdicts

STAGE = "distract"
VERSION = 4
_USUAL_TOKENS, _MOST_AT_ONCE = 300, 64
_MARGIN = 1.137
"""Sessions are written up to this multiple of what the largest history must hold at least: dedup may take some, and lengths vary."""
_ERRANDS = 0.5
"""Share of the unrelated sessions that are errands such as those in which facts show; the others are impersonal tasks."""
_AREAS: Mapping[str, Scenario] = {
    "code": "coding_help", "maths": "data_or_spreadsheet", "howto": "knowledge_query", "writing": "professional_writing",
}  # fmt: skip
_TRAP_SCENARIOS: Mapping[NoiseKind, tuple[Scenario, ...]] = {
    "hypothetical": ("knowledge_query", "planning"),
    "third_person": ("trouble_consult", "planning"),
    "fiction": ("creative_writing",),
    "quoted": ("personal_email", "translation"),
    "near_miss": ("knowledge_query",),
    "assistant_only": ("planning", "trouble_consult"),
}


def distract_shard(run: Run, index: int, expanded: Receipt, conversed: Receipt) -> Receipt:
    """Make (or find) the part of one shard."""
    inputs = (
        VERSION, run.seed, run.author.id_for(STAGE), run.tokens.id, run.config.distract.model_dump_json(), run.config.expand.months,
        max(run.config.assemble.budgets), run.config.assemble.fill, expanded.content, conversed.content,
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, index))


def _produce(run: Run, index: int) -> Produced:
    shown: dict[str, int] = {}
    for session in read_part(run.folder, "converse", index, Session):
        shown[session.persona_id] = shown.get(session.persona_id, 0) + session.tokens
    expansions = read_part(run.folder, "expand", index, Expansion)
    lives = gather([_blur(run, expansion, shown.get(expansion.persona.persona_id, 0)) for expansion in expansions])
    sessions = [one for life in lives for one, _ in life if isinstance(one, Session)]
    rejects = [one for life in lives for one, _ in life if isinstance(one, Reject)]
    verdicts = [verdict for life in lives for _, given in life for verdict in given]
    rejects += [reject for expansion in expansions for reject in _missing(run, expansion)]
    return Produced(sessions, Session, rejects, {"session": len(sessions) + len(rejects)}, {"session": len(sessions)}, verdicts)


def _missing(run: Run, expansion: Expansion) -> list[Reject]:
    """Planned noise that this persona has no trap or topic for."""
    short = sum(run.config.distract.noise.values()) - len(_planned(expansion))
    return [
        Reject(
            record_id=f"{expansion.persona.persona_id}/n{number:03d}", record_type="session", stage=STAGE, reason="no_material",
            detail="the persona has no further trap or topic for planned noise",
        )
        for number in range(short)
    ]  # fmt: skip


async def _blur(run: Run, expansion: Expansion, shown_tokens: int) -> list[tuple[Session | Reject, tuple[Verdict, ...]]]:
    """A persona's noise: the planned kinds first, then unrelated tool use until there is enough to fill the largest history.

    How much is still missing is guessed from the sessions so far, so that a round of them can be written at once; the rounds get
    smaller as the goal comes near. An author that gives nothing for two rounds is not asked a third time.
    """
    number = len(plan_sessions(run, expansion))
    planned = _planned(expansion)
    written = list(await asyncio.gather(*(_write(run, expansion, number + at, *one) for at, one in enumerate(planned))))
    goal, barren = _MARGIN * run.config.assemble.fill * max(run.config.assemble.budgets), 0
    while barren < 2:
        lengths = [one.tokens for one, _ in written if isinstance(one, Session)]
        missing = goal - shown_tokens - sum(lengths)
        if missing <= 0:
            break
        usual = sum(lengths) / len(lengths) if lengths else _USUAL_TOKENS
        count = max(1, int(0.8 * missing / max(usual, 1)))
        first = number + len(written)
        more = await asyncio.gather(*(_write(run, expansion, first + at, "unrelated", None) for at in range(min(count, _MOST_AT_ONCE))))
        barren = 0 if any(isinstance(one, Session) and one.tokens for one, _ in more) else barren + 1
        written += more
    return written


def _planned(expansion: Expansion) -> list[tuple[NoiseKind, Fact]]:
    """The traps as expand laid them."""
    return [(trap_kind(fact), fact) for fact in expansion.facts if fact.status == "trap"]


async def _write(
    run: Run, expansion: Expansion, number: int, kind: NoiseKind, fact: Fact | None
) -> tuple[Session | Reject, tuple[Verdict, ...]]:
    persona = expansion.persona
    session_id = f"{persona.persona_id}/s{number:03d}"
    chance = rng(run.seed, session_id, "setting")
    area = "errand" if chance.random() < _ERRANDS else chance.choice(sorted(_AREAS))
    scenario = chance.choice(_TRAP_SCENARIOS[kind] if fact else SCENARIOS if area == "errand" else (_AREAS[area],))
    topic = load_catalogue()[fact.attribute].topic if fact is not None else ""
    request = {"persona": persona, "fact": fact, "topic": topic, "area": area, "scenario": scenario, "ordinal": number}
    try:
        draft = await run.author.write(f"distract/{kind}", request, ConversationDraft, derive(run.seed, session_id), session_id)
    except Unwritten as gone:
        return unwritten(gone, session_id, "session", STAGE), ()
    given = noise_verdicts(Written(session_id, draft.messages, persona.speaking_style), expansion.facts)
    if (verdict := failed(given)) is not None:
        return refused(run, verdict, draft, STAGE), given
    life = life_of(run.seed, persona.persona_id, run.config.expand.months)
    others = kind in ("third_person", "quoted", "fiction")
    session = Session(
        session_id=session_id,
        persona_id=persona.persona_id,
        started_at=waking(life.at(0.99 * unit_interval(run.seed, session_id, "day")), unit_interval(run.seed, session_id, "hour")),
        scenario=scenario,
        owner="other" if others else "nobody",
        role="noise",
        noise_kind=kind,
        cue=None,
        fact_ids=(),
        trap_fact_ids=(fact.fact_id,) if fact is not None and fact.status == "trap" else (),
        messages=draft.messages,
        evidence=(),
        tokens=count_tokens(run.tokens, draft),
    )
    return session, given
