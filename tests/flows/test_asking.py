"""What is asked: of whom, when, with which option right, and how it is certified."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from author.llm.openai_author import OpenAIAuthor
from flows.ask import ask_all
from flows.run import Run
from flows.traps import trap_kind
from schemas.config import Config
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.question import Question
from schemas.session import NoiseKind, Session
from store.folder import RunFolder
from store.parts import read_part
from tests.runs import run_here
from tests.servers.model import ScriptedModel
from text.tokenizer import token_counter

ASKED: dict[str, Any] = {
    "dataset": {"name": "asked"},
    "seeds": {"builtin_count": 30},
    "run": {"shard_size": 30},
    "expand": {"facts_per_persona": 12},
    "ask": {"questions_per_persona": 30},
    "assemble": {"budgets": [16_000]},
}


@dataclass(frozen=True)
class Asked:
    """A run up to ask."""

    folder: RunFolder
    facts: Mapping[str, Fact]
    sessions: Mapping[str, Session]
    questions: Sequence[Question]
    item_shards: int


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Thirty people and what they are asked."""
    outcome = run_here(Config.model_validate(ASKED), tmp_path_factory.mktemp("asked"), until="ask")
    folder = outcome.folder
    sessions = [*read_part(folder, "converse", 0, Session), *read_part(folder, "distract", 0, Session)]
    return Asked(
        folder=folder,
        facts={fact.fact_id: fact for expansion in read_part(folder, "expand", 0, Expansion) for fact in expansion.facts},
        sessions={session.session_id: session for session in sessions},
        questions=read_part(folder, "ask", 0, Question),
        item_shards=outcome.summary["stages"]["items"]["parts"],
    )


def test_every_kind_of_noise_that_lays_traps_has_questions_that_only_its_trap_gets_wrong(asked: Asked) -> None:
    found: Counter[NoiseKind] = Counter()
    for question in asked.questions:
        for trap in (asked.facts[name] for name in question.fact_ids if asked.facts[name].status == "trap"):
            found[trap_kind(trap)] += 1
            (option,) = [option for option in question.options if option.value == trap.value]
            assert option.role == "trap"
            gold = question.options[question.gold_index]
            own = [asked.facts[name] for name in question.fact_ids if asked.facts[name].status == "true"]
            assert gold.value == (own[0].value if own else None)
            laid = [asked.sessions[name] for name in question.evidence_session_ids if trap.fact_id in asked.sessions[name].trap_fact_ids]
            assert [session.noise_kind for session in laid] == [trap_kind(trap)]
    assert set(found) == {"hypothetical", "third_person", "quoted", "fiction", "assistant_only", "near_miss"}
    assert min(found.values()) > 10


def test_a_hint_is_not_enough_until_there_is_another(asked: Asked) -> None:
    early = late = 0
    for question in asked.questions:
        fact = asked.facts[question.fact_ids[0]] if len(question.fact_ids) == 1 else None
        if fact and fact.cues_needed > 1:
            gold = question.options[question.gold_index].value
            hints = [asked.sessions[name] for name in question.evidence_session_ids]
            assert all(hint.cue == "faint" and hint.started_at < question.asked_at for hint in hints)
            if question.kind == "restraint":
                early += 1
                assert (len(hints), gold) == (1, None)
                shown = [session for session in asked.sessions.values() if fact.fact_id in session.fact_ids]
                assert sum(session.started_at < question.asked_at for session in shown) == 1
            else:
                late += 1
                assert (len(hints), gold) == (2, fact.value)
    assert min(early, late) > 5


def test_one_item_is_asked_of_one_user_before_and_after_a_change(asked: Asked) -> None:
    golds: dict[tuple[str, str], list[tuple[Any, str | None]]] = defaultdict(list)
    for question in asked.questions:
        if question.kind in ("current", "updated"):
            gold = question.options[question.gold_index].value
            golds[question.persona_id, question.item_id].append((question.asked_at, gold))
            fact = asked.facts[question.fact_ids[0]]
            assert question.asked_at.date() >= fact.valid_from
            assert fact.valid_until is None or question.asked_at.date() <= fact.valid_until
            assert gold == fact.value
    assert sum(len({gold for _, gold in told}) > 1 for told in golds.values()) > 5
    stale = [question for question in asked.questions if question.kind == "updated"]
    for question in stale:
        roles = {option.role: option.value for option in question.options}
        assert roles["stale"] in {asked.facts[name].value for name in question.fact_ids[1:]}


def test_every_question_is_certified(asked: Asked) -> None:
    for question in asked.questions:
        (certificate,) = question.certificates
        assert certificate.by == "solver"
        assert certificate.gold and certificate.without_evidence and certificate.without_others


def careful(asked: Asked, dealt: Sequence[Question]) -> Callable[[dict[str, Any]], Any]:
    """A model that finds the gold option if it is shown all the evidence, and else assumes nothing."""
    known: dict[tuple[str, ...], list[Question]] = defaultdict(list)
    for question in dealt:
        known[tuple(option.text for option in question.options)].append(question)

    def reply(request: dict[str, Any]) -> str:
        prompt = request["messages"][1]["content"]
        for texts, questions in known.items():
            if all(text in prompt for text in texts) and texts == tuple(sorted(texts, key=prompt.index)):
                for question in sorted(questions, key=lambda question: -len(question.evidence_session_ids)):
                    needed = [asked.sessions[name].messages[0].content.strip() for name in question.evidence_session_ids]
                    if all(text in prompt for text in needed):
                        return "ABCD"[question.gold_index]
                return "ABCD"[next(place for place, option in enumerate(questions[0].options) if option.value is None)]
        raise AssertionError("asked of a question that is not known")

    return reply


def read_by(asked: Asked, folder: Path, reply: Callable[[dict[str, Any]], Any], votes: int) -> Sequence[Question]:
    """Deal some questions on the same sessions, with a model as judge (with no votes: without one). Other votes are another part."""
    few = {**ASKED, "ask": {"questions_per_persona": 3}}
    with ScriptedModel(reply=reply) as model:
        author = {"kind": "openai", "model": "scripted", "base_url": model.base_url}
        config = Config.model_validate({**few, "author": author, "judge": {"votes": votes}})
        writer = OpenAIAuthor(config, folder)
        try:
            ask_all(Run(config, asked.folder, writer, token_counter("minilm")), [], 1, asked.item_shards)
        finally:
            writer.close()
    return read_part(asked.folder, "ask", 0, Question)


def test_a_judge_certifies_what_it_can_read_off(asked: Asked, tmp_path: Path) -> None:
    dealt = read_by(asked, tmp_path / "dealt", str, votes=0)
    assert len({question.kind for question in dealt}) > 4
    for question in read_by(asked, tmp_path / "judged", careful(asked, dealt), votes=1):
        solver, judged = question.certificates
        assert (solver.by, judged.by) == ("solver", "openai-scripted")
        assert (judged.gold, judged.without_evidence, judged.without_others) == (True, True, True), question.question_id


def test_a_judge_that_guesses_or_says_nothing_certifies_nothing(asked: Asked, tmp_path: Path) -> None:
    guessed = [question.certificates[1] for question in read_by(asked, tmp_path / "a", lambda _: "A", votes=2)]
    assert 0 < sum(certificate.gold for certificate in guessed) < len(guessed) / 2
    assert 0 < sum(certificate.without_evidence for certificate in guessed) < len(guessed) / 2
    silent = [question.certificates[1] for question in read_by(asked, tmp_path / "b", lambda _: "", votes=3)]
    assert not any(certificate.gold or certificate.without_others for certificate in silent)
