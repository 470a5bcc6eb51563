"""What happens to facts over a life: they change and change back, are to be forgotten, or never show clearly."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from flows.timeline import life_of
from prompts.catalogue import load_catalogue
from schemas.config import Config
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.session import Session
from store.folder import RunFolder
from store.parts import read_part
from tests.runs import run_here

PEOPLE = 40
CONFIG = Config.model_validate(
    {
        "dataset": {"name": "lives"},
        "seeds": {"builtin_count": PEOPLE},
        "run": {"shard_size": PEOPLE},
        "expand": {"updates": 0.5},
        "converse": {"sessions_per_fact": [1, 3]},
    }
)
Lives = tuple[Sequence[Expansion], Mapping[str, list[Session]], int]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """Forty people, half of whose mutable facts change, and the sessions that show their facts, by fact in order of time."""
    outcome = run_here(CONFIG, tmp_path_factory.mktemp("lives"), until="converse")
    folder: RunFolder = outcome.folder
    shown: dict[str, list[Session]] = defaultdict(list)
    for session in sorted(read_part(folder, "converse", 0, Session), key=lambda session: session.started_at):
        for fact_id in session.fact_ids:
            shown[fact_id].append(session)
    rejected = outcome.summary["stages"]["converse"]["records"]["session"]["rejected"]
    return read_part(folder, "expand", 0, Expansion), shown, rejected


def true_facts(lives: Lives) -> dict[str, Fact]:
    return {fact.fact_id: fact for expansion in lives[0] for fact in expansion.facts if fact.status == "true"}


def chains(lives: Lives) -> list[list[Fact]]:
    """Each fact that changes, with what it becomes."""
    facts = true_facts(lives)
    after = {fact.supersedes: fact for fact in facts.values() if fact.supersedes}
    found = []
    for fact in facts.values():
        if fact.supersedes is None and fact.fact_id in after:
            chain = [fact]
            while chain[-1].fact_id in after:
                chain.append(after[chain[-1].fact_id])
            found.append(chain)
    return found


def test_facts_change_up_to_three_times_for_a_reason_and_some_change_back(lives: Lives) -> None:
    found = chains(lives)
    lengths = Counter(len(chain) - 1 for chain in found)
    assert sorted(lengths) == [1, 2, 3]
    assert all(0.25 < number / len(found) < 0.42 for number in lengths.values())  # a third each, as the config draws them
    back = [chain[at].value == chain[at - 2].value for chain in found for at in range(2, len(chain))]
    assert 0.2 < sum(back) / len(back) < 0.5
    for chain in found:
        assert load_catalogue()[chain[0].attribute].mutable
        assert len({fact.attribute for fact in chain}) == 1
        for before, after in pairwise(chain):
            assert before.value != after.value
            assert before.valid_until == after.valid_from
            assert after.reason
        assert chain[-1].valid_until is None
        reasons = [fact.reason for fact in chain[1:]]
        assert len(set(reasons)) == len(reasons)


def test_the_shares_of_the_config_are_met(lives: Lives) -> None:
    roots = [fact for fact in true_facts(lives).values() if fact.supersedes is None]
    mutable = [fact for fact in roots if fact.mutable]
    assert abs(sum(fact.valid_until is not None for fact in mutable) / len(mutable) - 0.5) < 0.02
    assert abs(sum(fact.forget_requested_at is not None for fact in roots) / len(roots) - 0.15) < 0.02
    assert abs(sum(fact.cues_needed > 1 for fact in roots) / len(roots) - 0.15) < 0.02


def test_a_value_shows_only_while_it_holds(lives: Lives) -> None:
    facts, shown = true_facts(lives), lives[1]
    for fact_id, sessions in shown.items():
        fact = facts[fact_id]
        for session in sessions:
            assert session.started_at.date() >= fact.valid_from
            assert fact.valid_until is None or session.started_at.date() < fact.valid_until
            assert session.role == (
                "forget" if session is sessions[-1] and fact.forget_requested_at else "update" if fact.supersedes else "evidence"
            )


def test_requests_to_forget_come_at_distances_that_are_spread_evenly(lives: Lives) -> None:
    distances = []
    for fact in true_facts(lives).values():
        if fact.forget_requested_at:
            *evidence, request = lives[1][fact.fact_id]
            assert request.started_at == fact.forget_requested_at
            life = life_of(CONFIG.run.seed, fact.persona_id, CONFIG.expand.months)
            distances.append((request.started_at - evidence[-1].started_at) / (life.end - life.start))
    assert len(distances) > 100
    placed = sorted((distance - 0.03) / 0.5 for distance in distances)
    steps = [(number + 1) / len(placed) for number in range(len(placed))]
    assert max(abs(place - step) for place, step in zip(placed, steps, strict=True)) < 0.15  # Kolmogorov-Smirnov's D of 120 draws
    assert min(distances) * timedelta(days=180) > timedelta(days=2)


def test_a_fact_shows_clearly_once_or_faintly_as_often_as_it_must(lives: Lives) -> None:
    hinted, lacking = 0, 0
    for fact_id, sessions in lives[1].items():
        fact = true_facts(lives)[fact_id]
        cues = [session.cue for session in sessions if session.role != "forget"]
        if fact.cues_needed > 1:
            hinted += 1
            assert set(cues) == {"faint"} and len(cues) <= fact.cues_needed
            lacking += len(cues) < fact.cues_needed
            assert fact.kind != "sensitive"
            quotes = {session.messages[span.message].content[span.start : span.end] for session in sessions for span in session.evidence}
            assert len(quotes) == len(cues)
        else:
            assert cues.count("clear") <= 1 <= len(cues) <= 3
            lacking += "clear" not in cues
    assert hinted > 50
    assert lacking <= lives[2] < 0.01 * sum(map(len, lives[1].values()))  # no more than checks took away


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 2"):
        Config.model_validate({"dataset": {"name": "x"}, "expand": {"cues_needed": 3}})
    with pytest.raises(ValueError, match="three times at most"):
        Config.model_validate({"dataset": {"name": "x"}, "expand": {"changes_per_fact": [1, 4]}})
