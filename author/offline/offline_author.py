"""The embedded default author: a seeded grammar over a hand-written bank. No network, no model, the same words every time.

It is for trying the pipeline, for tests and for scale runs; no claim about the quality of language rests on it.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from random import Random
from typing import Any, TypeVar

from pydantic import BaseModel

from author.offline.bank import bank_of, load_bank
from author.offline.fill import first_names
from author.offline.grammar import Composer
from author.offline.material import Value
from author.offline.people import draft_persona, load_people, tags_of
from schemas.drafts import (
    AnswerDraft,
    ChangeDraft,
    ChangesDraft,
    ConversationDraft,
    FactDraft,
    FactsDraft,
    ItemDraft,
    SessionDraft,
    TrapsDraft,
    ValueDraft,
)
from schemas.errors import SubtextError
from schemas.fact import Fact, FactKind
from schemas.ids import rng
from schemas.persona import Persona
from schemas.session import Cue

Draft = TypeVar("Draft", bound=BaseModel)
_SURPLUS = 1.15
"""Facts proposed for each fact wanted: the stage turns some down as repeats or contradictions."""


class OfflineAuthor:
    """Writes from the bank; see `author.seam.Author`."""

    kind = "offline"
    varies = False

    def __init__(self) -> None:
        self.name = f"offline-{load_bank().id}-faker-{version('faker')}"
        self._writers: Mapping[str, Callable[[Mapping[str, Any], Random], BaseModel]] = {
            "expand/facts": _facts,
            "expand/changes": _changes,
            "expand/traps": _traps,
            "converse/evidence": _evidence,
            "converse/update": _update,
            "converse/forget": _forget,
            "ask/item": _item,
        }

    def id_for(self, stage: str) -> str:
        """See `author.seam.Author.id_for`; the bank is one, whatever the stage."""
        del stage
        return self.name

    def spent(self) -> dict[str, Any]:
        """See `author.seam.Author.spent`: nothing."""
        return {"tokens": {"prompt": 0, "cached": 0, "completion": 0}, "cost_usd": 0.0}

    def status(self) -> str:
        """See `author.seam.Author.status`."""
        return ""

    def stop(self) -> None:
        """See `author.seam.Author.stop`; whoever asks is answered at once."""

    def close(self) -> None:
        """See `author.seam.Author.close`; there is nothing to let go of."""

    async def write(self, prompt: str, variables: Mapping[str, object], schema: type[Draft], seed: int, record_id: str) -> Draft:
        """See `author.seam.Author.write`."""
        del record_id  # the seed says which record this is
        if prompt == "expand/persona":
            draft: BaseModel = draft_persona(str(variables["seed_text"]), load_bank(), seed)
        elif prompt in self._writers:
            draft = self._writers[prompt](variables, rng(seed, prompt))
        elif prompt.startswith("distract/"):
            draft = _noise(prompt.removeprefix("distract/"), variables, rng(seed, prompt))
        else:
            raise SubtextError(f"the offline author knows no prompt {prompt!r}")
        return schema.model_validate(draft.model_dump())


def expectation(value: Value, nature: str, tags: frozenset[str]) -> FactKind:
    """Which kind of fact `value` is for a person with `tags`."""
    if nature != "taste":
        return nature  # type: ignore[return-value]  # the other natures are kinds
    if tags & set(value.against):
        return "anti_stereotypical"
    return "stereotypical" if tags & set(value.fits) else "neutral"


def _fact(attribute: str, value: Value, kind: FactKind) -> FactDraft:
    return FactDraft(attribute=attribute, value=value.label, statement=value.statement, kind=kind, bank_id=f"{attribute}/{value.id}")


def _facts(variables: Mapping[str, Any], chance: Random) -> FactsDraft:
    """Proposals drawn kind by kind; each draw is independent, so some repeat or contradict others."""
    bank, tags = load_bank(), tags_of(variables["persona"].model_dump(), load_people())
    avoid = frozenset(variables["avoid"])
    by_kind: dict[str, list[FactDraft]] = {}
    for name, entry in bank.catalogue.items():
        for value in bank.attributes[name].values:
            if name not in avoid:
                kind = expectation(value, entry.nature, tags)
                by_kind.setdefault(kind, []).append(_fact(name, value, kind))
    if not by_kind:
        return FactsDraft(facts=())
    wanted = round(variables["count"] * _SURPLUS + 1)
    rest = [draft for drafts in by_kind.values() for draft in drafts]
    drawn = [chance.choice(by_kind.get(kind) or by_kind.get("neutral") or rest) for kind in _spread(variables["kinds"], wanted, chance)]
    return FactsDraft(facts=tuple(drawn))


def _spread(shares: Mapping[str, float], count: int, chance: Random) -> list[str]:
    """`count` kinds in the given shares (largest remainders), in random order."""
    exact = {kind: share * count for kind, share in shares.items()}
    counts = {kind: int(number) for kind, number in exact.items()}
    for kind in sorted(exact, key=lambda kind: counts[kind] - exact[kind])[: count - sum(counts.values())]:
        counts[kind] += 1
    kinds = [kind for kind, number in counts.items() for _ in range(number)]
    return chance.sample(kinds, len(kinds))


def _valued(attribute: str, label: str, tags: frozenset[str]) -> ValueDraft:
    """The value with this label, for a person with `tags`."""
    value = load_bank().labelled(attribute, label)
    kind = expectation(value, load_bank().catalogue[attribute].nature, tags)
    return ValueDraft(value=value.label, statement=value.statement, kind=kind, bank_id=f"{attribute}/{value.id}")


def _others(fact: Fact) -> list[str]:
    """The other values of the fact's attribute."""
    return [value.label for value in load_bank().attributes[fact.attribute].values if value.label != fact.value]


def _changes(variables: Mapping[str, Any], chance: Random) -> ChangesDraft:
    """Each change asked for: a value of the attribute that the user never had, or the one before the last; and why."""
    persona, tags = variables["persona"], tags_of(variables["persona"].model_dump(), load_people())
    had: dict[str, list[str]] = {}
    why: dict[str, list[str]] = {}
    changes = []
    for asked in variables["asked"]:
        attribute, values = load_bank().attributes[asked.fact.attribute], had.setdefault(asked.fact.fact_id, [asked.fact.value])
        others = [values[-2]] if asked.back else [value.label for value in attribute.values if value.label not in values]
        draft = _valued(asked.fact.attribute, chance.choice(others), tags)
        values.append(draft.value)
        reasons = why.setdefault(asked.fact.fact_id, chance.sample(attribute.reasons, len(attribute.reasons)))
        changes.append(ChangeDraft(**draft.model_dump(), reason=Composer(persona, chance).words(reasons.pop())))
    return ChangesDraft(changes=tuple(changes))


def _traps(variables: Mapping[str, Any], chance: Random) -> TrapsDraft:
    """Other values of what the user holds, values of what the user does not (the last ones with a question that comes near), and names."""
    bank, tags, avoid = load_bank(), tags_of(variables["persona"].model_dump(), load_people()), frozenset(variables["avoid"])
    names = [name for name in bank.catalogue if name not in avoid]
    chosen = chance.sample(names, min(len(names), variables["other"]))
    nearby, far = bank_of(variables["persona"].split).near_miss, len(chosen) - variables["near"]
    values = {
        name: chance.choice(bank.attributes[name].values) if place < far else chance.choice(nearby[name]).tempts
        for place, name in enumerate(chosen)
    }
    people = [name for name in first_names() if name not in variables["persona"].name]
    return TrapsDraft(
        contrary=tuple(_valued(fact.attribute, chance.choice(_others(fact)), tags) for fact in variables["facts"]),
        other=tuple(_fact(name, value, expectation(value, bank.catalogue[name].nature, tags)) for name, value in values.items()),
        names=tuple(chance.sample(people, min(len(people), variables["names"]))),
    )


def _cue(fact: Fact, persona: Persona, how: Cue, ordinal: int) -> str:
    """A cue of the fact's value; a fact's sessions go through its cues in an order of its own, so that one recurs as late as can be."""
    value = bank_of(persona.split).labelled(fact.attribute, fact.value)
    order = rng(fact.fact_id, "cues")
    strong, weak = order.sample(value.strong, len(value.strong)), order.sample(value.weak, len(value.weak))
    cues = strong if how == "clear" else weak
    return cues[ordinal % len(cues)]


def _evidence(variables: Mapping[str, Any], chance: Random) -> SessionDraft:
    fact, persona = variables["fact"], variables["persona"]
    cue = _cue(fact, persona, variables["cue"], variables["ordinal"])
    public = fact.kind == "sensitive" and fact.repeatable
    lead = chance.choice(bank_of(persona.split).moves.public_leads) if public else ""
    return Composer(persona, chance).passing_remark(variables["scenario"], cue, lead)


def _update(variables: Mapping[str, Any], chance: Random) -> SessionDraft:
    fact, persona = variables["fact"], variables["persona"]
    cue = _cue(fact, persona, variables["cue"], variables["ordinal"])
    told = fact.reason and variables["cue"] == "clear"
    lead = chance.choice(bank_of(persona.split).moves.update_leads) if told else ""
    return Composer(persona, chance, reason=fact.reason or "").passing_remark(variables["scenario"], cue, lead)


def _forget(variables: Mapping[str, Any], chance: Random) -> SessionDraft:
    fact, persona = variables["fact"], variables["persona"]
    bank = bank_of(persona.split)
    ask, answer = chance.choice(bank.moves.forget_asks), chance.choice(bank.moves.forget_answers)
    composer = Composer(persona, chance, topic=bank.catalogue[fact.attribute].topic)
    return composer.errand_then(variables["scenario"], ask, answer)


def _noise(kind: str, variables: Mapping[str, Any], chance: Random) -> ConversationDraft:
    """A session of one noise kind; `variables` hold the persona and, but for `unrelated`, a fact: the trap or the topic."""
    persona: Persona = variables["persona"]
    if kind == "unrelated":
        composer, area = Composer(persona, chance), variables["area"]
        return composer.errand(variables["scenario"]) if area == "errand" else composer.padding(area, variables["scenario"])
    fact: Fact = variables["fact"]
    bank = bank_of(persona.split)
    value = bank.labelled(fact.attribute, fact.value)
    given = {"label": value.label, "habit": value.habit, "statement": value.statement}
    if fact.owner != "self":
        given["other"] = fact.owner.split()[0]
    if kind in ("quoted", "fiction"):
        given["cue"] = Composer(persona, chance).words(chance.choice(value.strong))
    if kind == "near_miss":
        near = chance.choice([near for near in bank.near_miss[fact.attribute] if near.tempts.id == value.id]).exchange
        composer = Composer(persona, chance)
        given |= {"question": composer.words(near.user), "reply": composer.words(near.assistant)}
    grave = bank.catalogue[fact.attribute].nature != "taste"
    frames = [frame for frame in bank.noise[kind] if not (grave and frame.id.startswith("irony_"))]  # nobody jokes about an illness
    return Composer(persona, chance, **given).framed(frames, variables["scenario"])


def _item(variables: Mapping[str, Any], _: Random) -> ItemDraft:
    """The `variant`-th item of an attribute for a split, with answers for the values asked for and then for others of the bank."""
    attribute = bank_of(variables["split"]).attributes[variables["attribute"]]
    item = attribute.items[variables["variant"] % len(attribute.items)]
    ids = {value.label: value.id for value in attribute.values}
    labels = list(dict.fromkeys((*variables["values"], *ids)))[: variables["size"]]
    answers = tuple(AnswerDraft(value=label, text=item.options[ids[label]]) for label in labels)
    return ItemDraft(query=item.query, answers=answers, no_assumption=item.no_assumption)
