"""The offline author's bank: hand-written material in YAML, checked whole when it is loaded.

A mistake in the bank is a mistake in every dataset, so loading fails on the first file that breaks a rule, naming the file and
the place. The rules that matter for the data live here too: a cue never contains the words of its value's label, options of one
item have like lengths, every slot has a filler, and every list that is dealt to the splits is long enough to give each a share.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OCCUPATION_TAGS = frozenset(
    "tech academic medical care legal business creative performing manual outdoors farming hospitality transport sport "
    "public_service education retail student retired faith homemaker activist".split()
)
PLACE_TAGS = frozenset(
    "big_city small_town rural coast mountains cold hot north_america latin_america western_europe mediterranean "
    "eastern_europe middle_east africa south_asia east_asia southeast_asia oceania".split()
)
LIFE_TAGS = frozenset("parent single partnered young older".split())
TAGS = OCCUPATION_TAGS | PLACE_TAGS | LIFE_TAGS

GLOBAL_SLOTS = frozenset(
    "friend friend2 colleague recipient me me_full neighbour relative day day2 month time time2 town street n n2 n3 "
    "project company email phone address ssn card account passport api_key dob".split()
)
SLOT = re.compile(r"\{(\w+)\}")
LENGTH_BAND = 0.12
_STOP = frozenset(
    "with from that this their they them what when where into over under than then very much more most some only "
    "other about every never always being having".split()
)

Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def slots_of(text: str) -> set[str]:
    """The names in braces in `text`."""
    return set(SLOT.findall(text))


def content_words(text: str) -> set[str]:
    """Lower-case words of four letters or more that carry meaning; used to see whether a cue gives its value away."""
    return {word for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in _STOP}


class Value(_Strict):
    """One value that an attribute can have, and how somebody who has it talks without saying so."""

    id: Id
    label: Text
    """Noun phrase: 'black filter coffee'."""
    statement: Text
    """Verb phrase in the third person, no subject: 'drinks filter coffee black'."""
    habit: Text
    """The same after 'I': 'drink filter coffee black'."""
    fits: tuple[str, ...] = ()
    """Tags of people of whom an outsider would expect it."""
    against: tuple[str, ...] = ()
    """Tags of people of whom an outsider would expect the contrary."""
    strong: tuple[Text, ...] = Field(min_length=4)
    """Remarks from each of which alone a careful reader infers the value."""
    weak: tuple[Text, ...] = Field(min_length=6)
    """Remarks that hint at it; two of them together decide."""

    @model_validator(mode="after")
    def _cues_are_indirect(self) -> Self:
        if unknown := (set(self.fits) | set(self.against)) - TAGS:
            raise ValueError(f"value {self.id}: unknown tags {sorted(unknown)}")
        for cue in (*self.strong, *self.weak):
            if said := content_words(self.label) & content_words(SLOT.sub(" ", cue)):
                raise ValueError(f"value {self.id}: the cue {cue!r} says the label's word(s) {sorted(said)}")
            if unknown := slots_of(cue) - GLOBAL_SLOTS:
                raise ValueError(f"value {self.id}: cue uses unknown slot(s) {sorted(unknown)}: {cue!r}")
            if not 8 <= len(cue.split()) <= 48:
                raise ValueError(f"value {self.id}: a cue has 8 to 48 words, this has {len(cue.split())}: {cue!r}")
        return self


class Item(_Strict):
    """One query whose best answer depends on the attribute, and a complete answer for each value and for nobody known."""

    query: Text
    options: dict[Id, Text]
    no_assumption: Text

    @model_validator(mode="after")
    def _like_lengths(self) -> Self:
        texts = {**self.options, "no_assumption": self.no_assumption}
        mean = sum(map(len, texts.values())) / len(texts)
        for name, text in texts.items():
            if abs(len(text) - mean) > LENGTH_BAND * mean:
                raise ValueError(
                    f"query {self.query[:50]!r}: option {name} has {len(text)} characters, "
                    f"allowed {mean * (1 - LENGTH_BAND):.0f} to {mean * (1 + LENGTH_BAND):.0f}"
                )
        return self


class NearMiss(_Strict):
    """What a user may ask about a topic that tells nothing about the user."""

    tempts: Id
    """The value that a careless reader would take from it."""
    text: Text


class AttributeBank(_Strict):
    """All that the bank knows of one attribute of the catalogue."""

    values: tuple[Value, ...] = Field(min_length=4)
    reasons: tuple[Text, ...] = ()
    """Why it changed, to be read after 'since': 'the move to the coast'. At least three where the attribute can change."""
    near_miss: tuple[NearMiss, ...] = Field(min_length=3)
    items: tuple[Item, ...] = Field(min_length=4)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        ids = [value.id for value in self.values]
        if len(set(ids)) != len(ids):
            raise ValueError("two values share an id")
        for item in self.items:
            if set(item.options) != set(ids):
                raise ValueError(f"query {item.query[:50]!r}: options must be exactly {sorted(ids)}, got {sorted(item.options)}")
        for near in self.near_miss:
            if near.tempts not in ids:
                raise ValueError(f"near_miss tempts with {near.tempts}, which is no value")
            if unknown := slots_of(near.text) - GLOBAL_SLOTS:
                raise ValueError(f"near_miss uses unknown slot(s) {sorted(unknown)}")
        return self


class _WithLists(_Strict):
    """A part that brings word lists of its own: `{venue}` is filled from `lists.venue`."""

    id: Id
    lists: dict[Id, tuple[Text, ...]] = {}

    @field_validator("lists")
    @classmethod
    def _long_enough(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, words in lists.items():
            if len(words) < 6 or len(set(words)) != len(words):
                raise ValueError(f"list {name} needs 6 or more different entries")
            if name in GLOBAL_SLOTS:
                raise ValueError(f"list {name} has the name of a global slot")
        return lists

    def _check_slots(self, texts: "tuple[str, ...] | list[str]", extra: frozenset[str] = frozenset()) -> None:
        known = GLOBAL_SLOTS | set(self.lists) | extra
        for text in texts:
            if unknown := slots_of(text) - known:
                raise ValueError(f"{self.id}: unknown slot(s) {sorted(unknown)} in {text[:60]!r}")


class Topic(_WithLists):
    """What a user brings in a scenario: three moves of one text, each with alternatives that say the same in other words."""

    opening: tuple[Text, ...] = Field(min_length=4)
    middle: tuple[Text, ...] = Field(min_length=4)
    closing: tuple[Text, ...] = Field(min_length=4)
    material: tuple[Text, ...] = ()
    """Code, a table or another block that goes with the request."""
    advice: tuple[Text, ...] = ()
    """Paragraphs of the assistant's reply; three are drawn, in this order. Not needed where the reply is the polished text."""

    @model_validator(mode="after")
    def _known_slots(self) -> Self:
        self._check_slots([*self.opening, *self.middle, *self.closing, *self.material, *self.advice])
        return self


class Exchange(_Strict):
    """A follow-up: what the user says next, and the reply."""

    user: Text
    assistant: Text


class Scenario(_Strict):
    """One kind of tool use."""

    scenario: Id
    reply: Literal["polish", "advise"]
    """`polish`: the assistant gives the user's text back in other words; `advise`: it answers with the topic's advice."""
    asks: tuple[Text, ...] = Field(min_length=6)
    greetings: tuple[Text, ...] = ()
    signoffs: tuple[Text, ...] = ()
    bridges: tuple[Text, ...] = Field(min_length=6)
    """Short lead-ins to a remark in passing; may be empty-handed ('Other than that:')."""
    answers: tuple[Text, ...] = Field(min_length=6)
    notes: tuple[Text, ...] = Field(min_length=6)
    """How the assistant's reply ends."""
    followups: tuple[Exchange, ...] = Field(min_length=6)
    topics: tuple[Topic, ...] = Field(min_length=6)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for topic in self.topics:
            if self.reply == "advise" and len(topic.advice) < 5:
                raise ValueError(f"topic {topic.id}: an advising scenario needs 5 or more paragraphs of advice")
        ids = [topic.id for topic in self.topics]
        if len(set(ids)) != len(ids):
            raise ValueError("two topics share an id")
        texts = [*self.asks, *self.greetings, *self.signoffs, *self.bridges, *self.answers, *self.notes]
        texts += [text for pair in self.followups for text in (pair.user, pair.assistant)]
        for text in texts:
            if unknown := slots_of(text) - GLOBAL_SLOTS:
                raise ValueError(f"unknown slot(s) {sorted(unknown)} in {text[:60]!r}")
        return self


class PaddingTopic(_WithLists):
    """Tool use that says nothing about the user."""

    numbers: dict[Id, tuple[int, int]] = {}
    """Whole numbers drawn between two bounds, both included."""
    derive: dict[Id, Text] = {}
    """Numbers computed from `numbers` and from earlier entries with + - * / // % ( )."""
    asks: tuple[Text, ...] = Field(min_length=4)
    answers: tuple[Text, ...] = Field(min_length=3)
    followups: tuple[Exchange, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _known_slots(self) -> Self:
        texts = [*self.asks, *self.answers, *(text for pair in self.followups for text in (pair.user, pair.assistant))]
        self._check_slots(texts, frozenset(self.numbers) | frozenset(self.derive))
        for text in self.asks:
            if len(SLOT.findall(text)) < 3:
                raise ValueError(f"{self.id}: an ask needs 3 or more slots, so that its texts differ: {text[:60]!r}")
        return self


class Padding(_Strict):
    """One area of unrelated tool use."""

    area: Literal["code", "maths", "howto", "writing"]
    topics: tuple[PaddingTopic, ...] = Field(min_length=6)


NOISE_PLACEHOLDER = {
    "hypothetical": "habit", "third_person": "statement", "quoted": "cue", "fiction": "cue", "assistant_only": "label",
    "near_miss": "question",
}  # fmt: skip
"""What each kind of noise frame leaves open: the words of a value that is not the user's."""


class NoiseFrame(_WithLists):
    """A whole conversation around a trap."""

    user: tuple[Text, ...] = Field(min_length=3)
    assistant: tuple[Text, ...] = Field(min_length=3)
    followups: tuple[Exchange, ...] = Field(min_length=1)


class NoiseFrames(_Strict):
    """All frames of one kind of noise."""

    kind: Literal["hypothetical", "third_person", "quoted", "fiction", "assistant_only", "near_miss"]
    frames: tuple[NoiseFrame, ...] = Field(min_length=6)

    @model_validator(mode="after")
    def _has_the_trap(self) -> Self:
        slot = NOISE_PLACEHOLDER[self.kind]
        for frame in self.frames:
            carriers = frame.assistant if self.kind == "assistant_only" else frame.user
            for text in carriers:
                if text.count(f"{{{slot}}}") != 1:
                    raise ValueError(f"{frame.id}: {{{slot}}} must stand exactly once in {text[:60]!r}")
            texts = [*frame.user, *frame.assistant, *(text for pair in frame.followups for text in (pair.user, pair.assistant))]
            frame._check_slots(texts, frozenset({slot, "other", "reply"}))
            if self.kind == "near_miss" and any(text.count("{reply}") != 1 for text in frame.assistant):
                raise ValueError(f"{frame.id}: {{reply}} must stand exactly once in each assistant text")
        return self


class Style(_Strict):
    """A way of writing to an assistant."""

    id: Id
    description: Text
    openers: tuple[str, ...] = Field(min_length=3)
    """Said before the request; may be empty."""
    closers: tuple[str, ...] = Field(min_length=3)
    """Said after it; may be empty."""
    text_closers: tuple[str, ...]
    """Further ones that make sense only where a text is to be reworked."""
    lowercase: bool = False
    exclaims: bool = False
    """Ends requests with an exclamation mark."""
    contracts: bool = True
    """`do not` becomes `don't`; formal styles keep it."""


class Moves(_Strict):
    """Turns of phrase that several kinds of session share."""

    update_leads: tuple[Text, ...] = Field(min_length=6)
    """Before a cue that is new: `{reason}` is why."""
    public_leads: tuple[Text, ...] = Field(min_length=6)
    """Before something sensitive that is no secret."""
    decoys: tuple[Text, ...] = Field(min_length=60)
    """Remarks in passing that tell nothing, so that such a remark alone does not mark a session that does."""
    forget_asks: tuple[Text, ...] = Field(min_length=6)
    """`{topic}` names the matter."""
    forget_answers: tuple[Text, ...] = Field(min_length=6)
