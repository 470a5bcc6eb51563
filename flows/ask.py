"""Stage 6, ask: the items that dedup left are dealt to users and moments (`flows/deal.py`), and become questions."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from flows.candidates import Candidate, Person
from flows.deal import Ask, Dealer
from flows.fill import fill_history
from flows.heads import read_heads
from flows.readings import with_readings
from flows.run import Run
from flows.timeline import life_of, waking_between
from prompts.catalogue import load_catalogue
from schemas.expansion import Expansion
from schemas.ids import normalise, rng
from schemas.outcome import Reject, Survivor
from schemas.question import Item, Option, OptionRole, Question
from schemas.seed import SPLITS
from schemas.session import SessionHead
from store.parts import Produced, Receipt, ensure_part, read_part
from validators.solver import about, certify

STAGE = "ask"
VERSION = 5


def ask_all(run: Run, upstream: Sequence[Receipt], shards: int, item_shards: int) -> Receipt:
    """Make (or find) the one part of this stage."""
    inputs = (
        VERSION, run.seed, run.config.ask.model_dump_json(), run.config.assemble.model_dump_json(), run.config.expand.months,
        load_catalogue(), *run.judged(), *(receipt.content for receipt in upstream),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, 0, inputs, lambda: _produce(run, shards, item_shards))


def _produce(run: Run, shards: int, item_shards: int) -> Produced:
    survivors = {survivor.record_id for survivor in read_part(run.folder, "dedup", 0, Survivor)}
    items = [item for index in range(item_shards) for item in read_part(run.folder, "items", index, Item) if item.item_id in survivors]
    people = [person for index in range(shards) for person in _people(run, index, survivors)]
    config, made, rejects = run.config.ask, list[tuple[Ask, Question]](), list[Reject]()
    for split in SPLITS:
        mine = [person for person in people if person.split == split]
        askable, of_split = [person for person in mine if person.histories], [item for item in items if item.split == split]
        dealer = Dealer(askable, of_split, config.questions_per_persona, config.kinds, rng(run.seed, "deal", split))
        asked: dict[str, list[Ask]] = defaultdict(list)
        for ask in dealer.deal():
            asked[ask.person.name].append(ask)
        for person in mine:
            made += [(ask, _question(run, ask, number)) for number, ask in enumerate(asked[person.name])]
            rejects += [_missing(person, number) for number in range(len(asked[person.name]), config.questions_per_persona)]
    questions = [question for _, question in made] if run.judge is None else with_readings(run, run.judge, made, shards)
    questions.sort(key=lambda question: question.question_id)
    rejects.sort(key=lambda reject: reject.record_id)
    return Produced(questions, Question, rejects, {"question": len(questions) + len(rejects)}, {"question": len(questions)})


def _people(run: Run, index: int, survivors: set[str]) -> list[Person]:
    """The personas of a shard, with the histories that assemble will fill."""
    config = run.config.assemble
    heads: dict[str, list[SessionHead]] = defaultdict(list)
    for head in (*read_heads(run.folder, "converse", index), *read_heads(run.folder, "distract", index)):
        if head.session_id in survivors:
            heads[head.persona_id].append(head)
    people = []
    for expansion in read_part(run.folder, "expand", index, Expansion):
        own = heads[expansion.persona.persona_id]
        filled = [fill_history(own, budget, run.seed) for budget in config.budgets]
        people.append(Person(expansion, own, [one for one in filled if one.tokens[-1] >= config.fill * one.budget]))
    return people


def _missing(person: Person, number: int) -> Reject:
    """The reject of a question that could not be dealt."""
    record_id = f"{person.name}/q{number:03d}"
    if not person.histories:
        detail = "none of the persona's histories could be filled"
        return Reject(record_id=record_id, record_type="question", stage=STAGE, reason="no_history", detail=detail)
    detail = "no further item is left that would have each of its options right equally often"
    return Reject(record_id=record_id, record_type="question", stage=STAGE, reason="no_material", detail=detail)


def _question(run: Run, ask: Ask, number: int) -> Question:
    candidate, question_id = ask.candidate, f"{ask.person.name}/q{number:03d}"
    options = []
    for option in rng(run.seed, question_id).sample(candidate.item.options, len(candidate.item.options)):
        value = None if option.value is None else normalise(option.value)
        if value == candidate.gold:
            role: OptionRole = "gold"
        else:
            role = "no_assumption" if value is None else candidate.roles.get(value, "other_value")
        options.append(Option(text=option.text, value=option.value, role=role))
    heads, position = ask.where.heads, ask.position
    evidence = tuple(sorted({head.session_id for head in candidate.needs}))
    before = heads[position - 1].started_at
    if position == len(heads):
        asked_at = max(before, life_of(run.seed, ask.person.name, run.config.expand.months).end) + timedelta(minutes=30 + number)
    else:
        until = min(heads[position].started_at, candidate.before or heads[position].started_at)
        asked_at = waking_between(before, max(until, before + timedelta(minutes=2)))
    return Question(
        question_id=question_id,
        item_id=candidate.item.item_id,
        persona_id=ask.person.name,
        attribute=candidate.item.attribute,
        asked_at=asked_at.replace(second=0, microsecond=0),
        text=candidate.item.text,
        kind=candidate.kind,
        fact_ids=tuple(fact.fact_id for fact in candidate.facts),
        evidence_session_ids=evidence,
        options=tuple(options),
        gold_index=next(index for index, option in enumerate(options) if option.role == "gold"),
        rubric=_rubric(candidate),
        certificates=(certify(heads[:position], evidence, ask.person.facts, about(candidate.item.attribute), candidate.gold),),
    )


def _rubric(candidate: Candidate) -> str:
    """What an open answer must do."""
    if candidate.gold is not None:
        return f"Fits somebody who {candidate.facts[0].statement}, and none of the other values; need not say so."
    avoid = [fact.statement for fact in candidate.facts]
    return "Helps in full and assumes nothing" + (f"; in particular not that the user {avoid[0]}." if avoid else " about the user.")
