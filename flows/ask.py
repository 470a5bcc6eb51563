"""Stage 5, ask, second half: items are dealt to users and moments.

For each persona the candidates of every kind are listed (fact, item, moment), and drawn so that facts take turns. A few more are
dealt than are wanted, because some will lose a session to dedup; assemble keeps the wanted number.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import zip_longest

from flows.heads import read_heads
from flows.run import Run
from flows.timeline import life_of, waking
from flows.traps import trap_kind
from prompts.catalogue import clusters, load_catalogue
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import normalise, rng
from schemas.outcome import Reject
from schemas.question import Item, Option, OptionRole, Question, QuestionKind
from schemas.session import NoiseKind, SessionHead
from store.parts import Produced, Receipt, ensure_part, read_part

STAGE = "ask"
VERSION = 2
_RESERVE = 0.06
"""Questions dealt beyond the number wanted, as a share of it."""
_TRAP_QUESTIONS: dict[NoiseKind, QuestionKind] = {
    "third_person": "ownership", "quoted": "ownership", "fiction": "ownership", "hypothetical": "hypothetical",
    "assistant_only": "restraint",
}  # fmt: skip


_ANY_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that could be asked."""

    kind: QuestionKind
    item: Item
    facts: tuple[Fact, ...]
    """What it is about; empty for an attribute of which the user never spoke."""
    gold: str | None
    """The right value, normalised; None: assume nothing."""
    roles: dict[str, OptionRole]
    """Roles of (normalised) values other than the gold one, where they have been told in some way; all others are `other_value`."""
    needs: tuple[SessionHead, ...]
    """Sessions that must precede it."""
    after: datetime
    before: datetime | None
    """It must be asked between; None: also after the end of the life."""


def ask_all(run: Run, upstream: Sequence[Receipt], shards: int, item_shards: int) -> Receipt:
    """Make (or find) the one part of this stage."""
    inputs = (
        VERSION, run.seed, run.config.ask.model_dump_json(), run.config.expand.months, load_catalogue(),
        *(receipt.content for receipt in upstream),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, 0, inputs, lambda: _produce(run, shards, item_shards))


def _produce(run: Run, shards: int, item_shards: int) -> Produced:
    items: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for index in range(item_shards):
        for item in read_part(run.folder, "items", index, Item):
            items[item.attribute, item.split].append(item)
    questions: list[Question] = []
    rejects: list[Reject] = []
    requested = 0
    for index in range(shards):
        shown: dict[str, list[SessionHead]] = defaultdict(list)
        for head in (*read_heads(run.folder, "converse", index), *read_heads(run.folder, "distract", index)):
            for fact_id in (*head.fact_ids, *head.trap_fact_ids):
                shown[fact_id].append(head)
        for expansion in read_part(run.folder, "expand", index, Expansion):
            asked, wanted = _deal(run, expansion, shown, items)
            requested += wanted
            questions += asked
            rejects += [
                Reject(
                    record_id=f"{expansion.persona.persona_id}/q{number:03d}", record_type="question", stage=STAGE, reason="no_material",
                    detail="the persona's facts, traps and moments carry no further question",
                )
                for number in range(len(asked), wanted)
            ]  # fmt: skip
    return Produced(questions, Question, rejects, {"question": requested}, {"question": len(questions)})


def _deal(
    run: Run, expansion: Expansion, shown: dict[str, list[SessionHead]], items: dict[tuple[str, str], list[Item]]
) -> tuple[list[Question], int]:
    """The questions of one persona, and how many were wanted."""
    config, persona = run.config.ask, expansion.persona
    wanted = round(config.questions_per_persona * (1 + _RESERVE)) if config.questions_per_persona > 1 else 1
    by_kind: dict[QuestionKind, list[Candidate]] = defaultdict(list)
    for candidate in _candidates(expansion, shown, items):
        by_kind[candidate.kind].append(candidate)
    queues = {kind: _take_turns(run, persona.persona_id, kind, candidates) for kind, candidates in by_kind.items()}
    plan = [kind for kind, share in config.kinds.items() for _ in range(round(share * wanted))]
    plan = rng(run.seed, persona.persona_id, "kinds").sample(plan, len(plan))[:wanted]
    drawn: list[Candidate] = []
    for kind in plan + [kind for kind, share in config.kinds.items() if share > 0] * wanted:
        if len(drawn) < wanted and queues.get(kind):
            drawn.append(queues[kind].pop())
    questions = [_ask(run, expansion, number, candidate) for number, candidate in enumerate(drawn)]
    return questions, wanted


def _take_turns(run: Run, persona_id: str, kind: QuestionKind, candidates: Sequence[Candidate]) -> list[Candidate]:
    """A stack of the candidates: drawn from its end, facts (or attributes) take turns and an item comes early before it comes late."""
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.facts[0].fact_id if candidate.facts else candidate.item.attribute].append(candidate)
    chance = rng(run.seed, persona_id, "turns", kind)
    shuffled = [chance.sample(groups[name], len(groups[name])) for name in chance.sample(sorted(groups), len(groups))]
    rounds = [candidate for turn in zip_longest(*shuffled) for candidate in turn if candidate is not None]
    return rounds[::-1]


def _candidates(expansion: Expansion, shown: dict[str, list[SessionHead]], items: dict[tuple[str, str], list[Item]]) -> Iterator[Candidate]:
    """Every question that this persona could be asked, but for its moment."""
    split = expansion.persona.split
    facts = {fact.fact_id: fact for fact in expansion.facts}
    own = {fact.attribute: fact for fact in facts.values() if fact.status == "true" and fact.valid_until is None}
    told: dict[str, dict[str, OptionRole]] = defaultdict(dict)
    seen = [fact for fact in facts.values() if shown.get(fact.fact_id)]
    for fact in seen:
        told[fact.attribute].setdefault(normalise(fact.value), _role(fact))
    for fact in seen:
        for item in items.get((fact.attribute, split), ()):
            if fact.status == "trap":
                made = _about_trap(fact, own.get(fact.attribute), shown, item)
            else:
                made = _about_fact(fact, facts, shown, item)
            if made is not None:
                yield replace(made, roles={**told[fact.attribute], **made.roles})
    touched = {name for fact in facts.values() for name in clusters()[fact.attribute]}
    for (attribute, item_split), group in items.items():
        if item_split == split and attribute not in touched:
            yield from (Candidate("restraint", item, (), None, {}, (), _ANY_TIME, None) for item in group)


def _role(fact: Fact) -> OptionRole:
    """What an option with this fact's value is, where another is gold."""
    if fact.status == "trap":
        return "trap"
    return "leak" if fact.kind == "sensitive" or fact.forget_requested_at else "stale" if fact.valid_until else "other_value"


def _about_fact(fact: Fact, facts: dict[str, Fact], shown: dict[str, list[SessionHead]], item: Item) -> Candidate | None:
    """A question on a true fact: as it is, after its change, after it was to be forgotten, or where it should not be repeated."""
    offered, value = _offered(item), normalise(fact.value)
    if value not in offered:
        return None
    needs = tuple(shown[fact.fact_id])
    after = max(head.started_at for head in needs)
    if fact.forget_requested_at:
        return Candidate("forget", item, (fact,), None, {value: "leak"}, needs, after, None)
    before = datetime.combine(fact.valid_until, time(), UTC) if fact.valid_until else None
    if fact.kind == "sensitive":
        return Candidate("sensitive", item, (fact,), None, {value: "leak"}, needs, after, before)
    if fact.supersedes:
        old = facts[fact.supersedes]
        if normalise(old.value) not in offered or not shown.get(old.fact_id):
            return None
        needs = (*shown[old.fact_id], *needs)
        return Candidate("updated", item, (fact, old), value, {normalise(old.value): "stale"}, needs, after, None)
    return Candidate("current", item, (fact,), value, {}, needs, after, before)


def _about_trap(trap: Fact, own: Fact | None, shown: dict[str, list[SessionHead]], item: Item) -> Candidate | None:
    """A question that who fell for the trap gets wrong. Where the user holds the attribute, their own value is right."""
    offered, value = _offered(item), normalise(trap.value)
    kind = _TRAP_QUESTIONS[trap_kind(trap)]
    needs = tuple(shown[trap.fact_id])
    if value not in offered:
        return None
    if own is None:
        return Candidate(kind, item, (trap,), None, {value: "trap"}, needs, max(head.started_at for head in needs), None)
    mine = normalise(own.value)
    if mine not in offered or mine == value or own.forget_requested_at or own.supersedes or not shown.get(own.fact_id):
        return None
    if own.kind == "sensitive":
        return None
    needs = (*shown[own.fact_id], *needs)
    return Candidate(kind, item, (own, trap), mine, {value: "trap"}, needs, max(head.started_at for head in needs), None)


def _offered(item: Item) -> set[str]:
    """The values that an item offers, normalised: authors spell one value in more than one way."""
    return {normalise(option.value) for option in item.options if option.value is not None}


def _ask(run: Run, expansion: Expansion, number: int, candidate: Candidate) -> Question:
    persona_id = expansion.persona.persona_id
    question_id = f"{persona_id}/q{number:03d}"
    life = life_of(run.seed, persona_id, run.config.expand.months)
    chance = rng(run.seed, question_id)
    after = max(candidate.after, life.at(0.2))
    if candidate.before is None and (number % 2 == 0 or after >= life.end):
        asked_at = max(life.end, after) + timedelta(minutes=30 + number)
    else:
        until = candidate.before or life.end
        after = min(after, until - timedelta(minutes=2)) if candidate.after < until - timedelta(minutes=2) else candidate.after
        asked_at = after + max(timedelta(minutes=1), (until - after) * chance.uniform(0.02, 0.98))
        by_day = waking(asked_at, chance.random())
        asked_at = by_day if after < by_day < until else asked_at
    options = []
    for option in chance.sample(candidate.item.options, len(candidate.item.options)):
        value = None if option.value is None else normalise(option.value)
        if value == candidate.gold:
            role: OptionRole = "gold"
        else:
            role = "no_assumption" if value is None else candidate.roles.get(value, "other_value")
        options.append(Option(text=option.text, value=option.value, role=role))
    return Question(
        question_id=question_id,
        item_id=candidate.item.item_id,
        persona_id=persona_id,
        asked_at=asked_at.replace(second=0, microsecond=0),
        text=candidate.item.text,
        kind=candidate.kind,
        fact_ids=tuple(fact.fact_id for fact in candidate.facts),
        evidence_session_ids=tuple(sorted({head.session_id for head in candidate.needs})),
        options=tuple(options),
        gold_index=next(index for index, option in enumerate(options) if option.role == "gold"),
        rubric=_rubric(candidate),
    )


def _rubric(candidate: Candidate) -> str:
    """What an open answer must do."""
    if candidate.gold is not None:
        return f"Fits somebody who {candidate.facts[0].statement}, and none of the other values; need not say so."
    avoid = [fact.statement for fact in candidate.facts]
    return "Helps in full and assumes nothing" + (f"; in particular not that the user {avoid[0]}." if avoid else " about the user.")
