"""Conversations: the cue stands in the user's own words, no slot stays open, the style shows, the assistant rewords what it polishes."""

import asyncio
import re
from typing import Any

import pytest

from author.offline.bank import bank_of, load_bank
from author.offline.grammar import Composer
from author.offline.material import GLOBAL_SLOTS, Style
from author.offline.offline_author import OfflineAuthor
from schemas.drafts import ConversationDraft, SessionDraft
from schemas.errors import SubtextError
from schemas.ids import rng
from schemas.persona import Persona
from schemas.seed import SPLITS, Split
from schemas.session import SCENARIOS, Scenario

CUE = "The carton in the office fridge has {colleague}'s name on it, and my mug doesn't know it's there."


def persona(split: Split = "train", style: Style | None = None) -> Persona:
    return Persona(
        persona_id="p0", seed_id="s0", split=split, name="Ada Example", age=40, gender="woman", location="Galway, Ireland",
        occupation="baker", education="", household="lives alone", languages=("English",), traits=(), profile_text="",
        speaking_style=(style or load_bank().styles[0]).description,
    )  # fmt: skip


def open_slots(draft: ConversationDraft) -> set[str]:
    """Names in braces that are slots of the bank and were not filled."""
    return {name for message in draft.messages for name in re.findall(r"(?<!\$)\{(\w+)\}", message.content)} & GLOBAL_SLOTS


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("split", SPLITS)
def test_a_remark_in_passing(scenario: Scenario, split: Split) -> None:
    for style in load_bank().styles:
        draft = Composer(persona(split, style), rng(scenario, split, style.id)).passing_remark(scenario, CUE)
        assert [message.role for message in draft.messages][:2] == ["user", "assistant"]
        assert len(draft.messages) % 2 == 0
        (quote,) = draft.quotes
        assert draft.messages[0].content.count(quote) == 1
        assert "mug" in quote and "{" not in quote
        assert not open_slots(draft)


def test_the_assistant_rewords_what_it_polishes() -> None:
    for number in range(30):
        draft = Composer(persona(), rng(number)).passing_remark("personal_email", CUE)
        asked, replied = (set(message.content.split("\n\n")[1:]) for message in draft.messages[:2])
        same = {paragraph for paragraph in asked & replied if len(paragraph.split()) > 12 and "mug" not in paragraph}
        assert not same


def test_styles_show_in_what_the_user_writes() -> None:
    styles = {style.id: style for style in load_bank().styles}
    terse = [
        Composer(persona(style=styles["terse"]), rng("terse", scenario)).passing_remark(scenario, CUE).messages[0].content.split("\n\n")[0]
        for scenario in SCENARIOS
    ]
    assert all(text == text.lower() for text in terse)
    talk = Composer(persona(style=styles["terse"]), rng("talk")).passing_remark("trouble_consult", CUE).messages[0].content
    own_words = re.sub(r'"[^"]*"', "", talk)  # whom the user quotes speaks as they speak
    assert own_words == own_words.lower()
    formal = Composer(persona(style=styles["formal"]), rng("formal")).passing_remark("trouble_consult", CUE)
    assert not re.search(r"n't\b|'m\b|'ll\b", formal.messages[0].content)
    assert "does not know" in formal.quotes[0]
    assert any(
        "!" in Composer(persona(style=styles["exuberant"]), rng(n)).passing_remark("planning", CUE).messages[0].content for n in range(5)
    )


@pytest.mark.parametrize("area", ["code", "maths", "howto", "writing"])
@pytest.mark.parametrize("split", SPLITS)
def test_padding_is_filled_and_belongs_to_its_split(area: str, split: Split) -> None:
    topics = {topic.id for topic in bank_of(split).padding[area]}
    assert topics
    for number in range(20):
        assert not open_slots(Composer(persona(split), rng(split, area, number)).padding(area, "planning"))


def test_the_same_request_is_written_the_same_and_an_unknown_one_refused() -> None:
    author = OfflineAuthor()
    variables: dict[str, Any] = {"persona": persona(), "area": "code", "scenario": "coding_help", "fact": None}
    first, second = (asyncio.run(author.write("distract/unrelated", variables, ConversationDraft, 7, "p0/s000")) for _ in range(2))
    assert first == second
    assert asyncio.run(author.write("distract/unrelated", variables, ConversationDraft, 8, "p0/s000")) != first
    with pytest.raises(SubtextError, match="ask/poem"):
        asyncio.run(author.write("ask/poem", {}, SessionDraft, 1, "q"))
