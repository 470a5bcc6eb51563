"""Stage 7, assemble: each persona's sessions become one history per token budget, and its questions find their place in it.

A history holds whole sessions in order of time, 95-100 % of its budget and never more. What shows or withdraws a fact goes in first,
then the noise with traps, then unrelated tool use until it is full. A question is placed where everything that it needs precedes it.
"""

from collections import defaultdict
from collections.abc import Sequence

from flows.heads import read_heads
from flows.run import Run
from schemas.expansion import Expansion
from schemas.history import History, Placement
from schemas.ids import digest
from schemas.outcome import RecordType, Reject, Survivor
from schemas.question import Question
from schemas.session import SessionHead
from store.parts import Produced, Receipt, ensure_part, read_part

STAGE = "assemble"
VERSION = 1


def assemble_all(run: Run, upstream: Sequence[Receipt], shards: int) -> Receipt:
    """Make (or find) the one part of this stage."""
    inputs = (
        VERSION, run.seed, run.config.assemble.model_dump_json(), run.config.ask.questions_per_persona,
        *(receipt.content for receipt in upstream),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, 0, inputs, lambda: _produce(run, shards))


def _produce(run: Run, shards: int) -> Produced:
    survivors = {survivor.record_id for survivor in read_part(run.folder, "dedup", 0, Survivor)}
    questions: dict[str, list[Question]] = defaultdict(list)
    for question in read_part(run.folder, "ask", 0, Question):
        if question.question_id in survivors:
            questions[question.persona_id].append(question)
    histories: list[History] = []
    rejects: list[Reject] = []
    asked: dict[RecordType, int] = dict.fromkeys(("persona", "history", "session", "question"), 0)
    for index in range(shards):
        heads: dict[str, list[SessionHead]] = defaultdict(list)
        for head in (*read_heads(run.folder, "converse", index), *read_heads(run.folder, "distract", index)):
            if head.session_id in survivors:
                heads[head.persona_id].append(head)
        for expansion in read_part(run.folder, "expand", index, Expansion):
            name = expansion.persona.persona_id
            made, refused = _persona(run, name, heads[name], questions[name])
            histories += made
            rejects += refused
            asked["persona"] += 1
            asked["history"] += len(run.config.assemble.budgets)
            asked["session"] += len(heads[name])
            asked["question"] += len(questions[name])
    kept: dict[RecordType, int] = {
        "persona": len({history.persona_id for history in histories}),
        "history": len(histories),
        "session": len({session_id for history in histories for session_id in history.session_ids}),
        "question": len({placement.question_id for history in histories for placement in history.questions}),
    }
    return Produced(histories, History, rejects, asked, kept)


def _persona(run: Run, name: str, heads: Sequence[SessionHead], questions: Sequence[Question]) -> tuple[list[History], list[Reject]]:
    """One persona's histories, and everything of it that found no place."""
    config = run.config.assemble
    rejects: list[Reject] = []
    filled: dict[int, list[SessionHead]] = {}
    for budget in config.budgets:
        chosen = fill_history(heads, budget, run.seed)
        used = sum(head.tokens for head in chosen)
        if used < config.fill * budget:
            rejects.append(
                _reject(f"{name}/{budget // 1000}k", "history", "underfilled", f"only {used} of {budget} tokens could be filled")
            )
        else:
            filled[budget] = chosen
    places = {budget: _place_all(chosen, questions) for budget, chosen in filled.items()}
    placed = {question_id for found in places.values() for question_id in found}
    wanted = [question.question_id for question in questions if question.question_id in placed][: run.config.ask.questions_per_persona]
    for question in questions:
        if question.question_id not in placed:
            rejects.append(_reject(question.question_id, "question", "no_history", "no history holds all sessions that it needs"))
        elif question.question_id not in wanted:
            rejects.append(
                _reject(question.question_id, "question", "surplus", "dealt in reserve; the wanted number was reached without it")
            )
    in_use = {head.session_id for chosen in filled.values() for head in chosen}
    rejects += [
        _reject(head.session_id, "session", "over_budget", "no history had room for it") for head in heads if head.session_id not in in_use
    ]
    if not filled:
        rejects.append(_reject(name, "persona", "no_history", "none of its histories could be filled"))
    histories = [
        History(
            history_id=f"{name}/{budget // 1000}k",
            persona_id=name,
            budget=budget,
            session_ids=tuple(head.session_id for head in chosen),
            tokens=sum(head.tokens for head in chosen),
            questions=tuple(places[budget][question_id] for question_id in wanted if question_id in places[budget]),
        )
        for budget, chosen in filled.items()
    ]
    return histories, rejects


def _reject(record_id: str, kind: RecordType, reason: str, detail: str) -> Reject:
    return Reject(record_id=record_id, record_type=kind, stage=STAGE, reason=reason, detail=detail)


def fill_history(heads: Sequence[SessionHead], budget: int, run_seed: int) -> list[SessionHead]:
    """Sessions in order of time whose tokens do not pass `budget`: facts' sessions go in first, then traps, then the rest.

    Within each of the three the order is by hash. Sessions of one fact stand or fall together, so that no fact is half told.
    """
    groups: dict[str, list[SessionHead]] = defaultdict(list)
    for head in heads:
        groups[head.fact_ids[0] if head.fact_ids else head.session_id].append(head)

    def order(name: str) -> tuple[int, str]:
        first = groups[name][0]
        return (0 if first.fact_ids else 1 if first.noise_kind != "unrelated" else 2, digest("fill", run_seed, name))

    chosen: list[SessionHead] = []
    room = budget
    for name in sorted(groups, key=order):
        needed = sum(head.tokens for head in groups[name])
        if needed <= room:
            chosen += groups[name]
            room -= needed
    return sorted(chosen, key=lambda head: (head.started_at, head.session_id))


def _place_all(chosen: Sequence[SessionHead], questions: Sequence[Question]) -> dict[str, Placement]:
    """Where each question stands among `chosen`; questions that lack a session, or whose sessions come too late, are left out."""
    at = {head.session_id: number for number, head in enumerate(chosen)}
    before = [0]
    for head in chosen:
        before.append(before[-1] + head.tokens)
    found: dict[str, Placement] = {}
    for question in questions:
        position = sum(head.started_at < question.asked_at for head in chosen)
        needed = [at.get(session_id, len(chosen)) for session_id in question.evidence_session_ids]
        if position and all(place < position for place in needed):
            distance = before[position] - before[max(needed) + 1] if needed else None
            found[question.question_id] = Placement(question_id=question.question_id, position=position, distance_tokens=distance)
    return found
