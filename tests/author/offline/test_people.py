"""Personas keep what their seed states, and the builtin seeds are many and different."""

import json
from pathlib import Path

import pytest

from author.offline.bank import load_bank
from author.offline.people import draft_persona, load_people
from flows.seeds import composed_seeds
from text.neardup import Limits, find_duplicates

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "personahub_sample.jsonl"
STATED = [
    "political analyst|el salvador", "legal advisor|documentation", "health advocate|postpartum", "captain|basketball", "basketball player",
    "content creator|virtual reality", "engineer|comedian", "project manager|extreme programming", "general counsel|turpco",
    "divorced father|custody", "geography teacher|antigua", "athlete|international competitions", "partner|law firm|healthcare laws",
    "badminton coach", "social worker|sadye", "software engineer|document management", "afrikaans music|spoegwolf|south africa",
    "die linke",
    "producer|voice-over", "internet user|privacy", "orthopedic surgeon|aossm", "retired theater director|narratives",
    "political science|judicial", "novelist|digital publishing", "robotics professor|competition", "housewife|pakistan|sindh",
    "advertising executive|industry awards", "support group organizer|guest speaker", "factory worker|vaccine", "striker|defensive",
    "museum educator|wine and art", "film critic|clones", "assistant|negotiations", "lebanese-american|higher education",
    "priest|mata vaishno", "car salesman|prince edward island|government", "innovation consultant|boxing", "bilingual child|language",
    "paramedic|forecasts", "lawyer", "poet|syria", "azerbaijan|pop music", "young couple|restaurants", "botanist|scleranthus",
    "graduate student|emerging powers", "erewash", "professional cyclist|cobblestones", "wagga wagga",
]  # fmt: skip
"""What each of the 48 sample seeds states, by hand: occupation, place, interest; words that must stand in the persona's own fields."""


@pytest.mark.skipif(not SAMPLE.exists(), reason="the PersonaHub sample is not part of this repository")
def test_what_a_seed_states_shows_in_its_persona() -> None:
    seeds = [json.loads(line)["persona"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    stated = [(seed, word) for seed, words in zip(seeds, STATED, strict=True) for word in words.split("|")]
    missing = []
    for seed, word in stated:
        persona = draft_persona(seed, load_bank(), seed=1)
        fields = " ".join((persona.occupation, persona.location, *persona.traits)).lower()
        if word not in fields:
            missing.append((seed, word))
    assert len(missing) <= 0.1 * len(stated), missing


@pytest.mark.parametrize(
    ("seed", "field", "expected"),
    [
        ("A retired ferry captain in Galway who paints signs", "occupation", "retired ferry captain"),
        ("A retired ferry captain in Galway who paints signs", "location", "Galway, Ireland"),
        ("A divorced father of three", "gender", "man"),
        ("A nurse who grew up in Testerton", "occupation", "nurse"),
    ],
)
def test_stated_fields(seed: str, field: str, expected: str) -> None:
    assert getattr(draft_persona(seed, load_bank(), seed=5), field) == expected


def test_the_same_seed_gives_the_same_persona_and_another_chance_another() -> None:
    text = "a supporter of a football club"
    assert draft_persona(text, load_bank(), 3) == draft_persona(text, load_bank(), 3)
    assert draft_persona(text, load_bank(), 3) != draft_persona(text, load_bank(), 4)


LIMITS = Limits(0.8, 0.85, 0.6)


def test_one_liners_are_300_and_no_near_duplicates() -> None:
    lines = load_people().one_liners
    assert len(lines) >= 300
    assert find_duplicates(lines, [0] * len(lines), LIMITS) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_composed_seeds_give_ten_thousand_that_are_no_near_duplicates() -> None:
    seeds = composed_seeds(1)
    texts = [next(seeds) for _ in range(12_000)]
    found = find_duplicates(texts, [0] * len(texts), LIMITS)
    assert len(texts) - len(found) >= 10_000
