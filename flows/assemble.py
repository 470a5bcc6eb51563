"""Stage 7, assemble: each persona's sessions become one history per token budget, and its questions find their place in it.

A history holds whole sessions in order of time, 95-100 % of its budget and never more. What shows or withdraws a fact goes in first,
then the noise with traps, then unrelated tool use until it is full (`flows/fill.py`). The questions were dealt to these very
histories; here they get their places.
"""

from collections import defaultdict
from collections.abc import Sequence

from flows.fill import Filled, fill_history
from flows.heads import read_heads
from flows.run import Run
from schemas.expansion import Expansion
from schemas.history import History, Placement
from schemas.outcome import RecordType, Reject, Survivor
from schemas.question import Question
from schemas.session import SessionHead
from store.parts import Produced, Receipt, ensure_part, read_part

STAGE = "assemble"
VERSION = 2


def assemble_all(run: Run, upstream: Sequence[Receipt], shards: int) -> Receipt:
    """Make (or find) the one part of this stage."""
    inputs = (
        VERSION, run.seed, run.config.assemble.model_dump_json(), *(receipt.content for receipt in upstream),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, 0, inputs, lambda: _produce(run, shards))


def _produce(run: Run, shards: int) -> Produced:
    survivors = {survivor.record_id for survivor in read_part(run.folder, "dedup", 0, Survivor)}
    questions: dict[str, list[Question]] = defaultdict(list)
    for question in read_part(run.folder, "ask", 0, Question):
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
    filled: list[Filled] = []
    for budget in config.budgets:
        history = fill_history(heads, budget, run.seed)
        if history.tokens[-1] < config.fill * budget:
            detail = f"only {history.tokens[-1]} of {budget} tokens could be filled"
            rejects.append(_reject(f"{name}/{budget // 1000}k", "history", "underfilled", detail))
        else:
            filled.append(history)
    in_use = {head.session_id for history in filled for head in history.heads}
    rejects += [
        _reject(head.session_id, "session", "over_budget", "no history had room for it") for head in heads if head.session_id not in in_use
    ]
    if not filled:
        rejects.append(_reject(name, "persona", "no_history", "none of its histories could be filled"))
    histories = [
        History(
            history_id=f"{name}/{history.budget // 1000}k",
            persona_id=name,
            budget=history.budget,
            session_ids=tuple(head.session_id for head in history.heads),
            tokens=history.tokens[-1],
            questions=_place_all(history, questions),
        )
        for history in filled
    ]
    return histories, rejects


def _reject(record_id: str, kind: RecordType, reason: str, detail: str) -> Reject:
    return Reject(record_id=record_id, record_type=kind, stage=STAGE, reason=reason, detail=detail)


def _place_all(filled: Filled, questions: Sequence[Question]) -> tuple[Placement, ...]:
    """Where each question stands that was dealt to this history: all sessions that it needs are in it, before the question."""
    found = []
    for question in questions:
        position = filled.position(question.asked_at)
        needed = [filled.place_of.get(session_id, position) for session_id in question.evidence_session_ids]
        if position and all(place < position for place in needed):
            distance = filled.tokens[position] - filled.tokens[max(needed) + 1] if needed else None
            found.append(Placement(question_id=question.question_id, position=position, distance_tokens=distance))
    return tuple(found)
