"""Conversations put together from the bank's parts: who says what, in which words, in whose style.

A session draws one topic of its scenario, one alternative of each move, and fills all slots once; a cue stands beside the moves as a remark
in passing. Sessions that tell nothing are made the same way, with remarks that tell nothing. With a handful of topics, five alternatives
of three moves and slot fillers every few words, texts of one scenario differ in most of their 5-grams.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from author.offline.bank import bank_of
from author.offline.fill import Filler
from author.offline.material import Exchange, NoiseFrame, Scenario, Style
from schemas import drafts
from schemas.drafts import ConversationDraft, SessionDraft
from schemas.persona import Persona

_FOLLOWUP_SHARE = 0.6
_BRIDGED, _KEPT = 0.5, 0.5
"""Shares of the remarks in passing that something leads over to, and that the assistant keeps in the text that it reworks."""
_DECOYS = {"errand": 0.75, "frame": 0.4, "padding": 0.3}
"""Shares of sessions that tell nothing in which a remark in passing stands all the same."""
_SPOKEN = frozenset({"chat_message", "trouble_consult", "knowledge_query", "coding_help", "data_or_spreadsheet", "planning"})
"""Scenarios whose text is the user's own talk, which the style colours; elsewhere it colours the request only."""
_CONTRACTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), whole)
    for pattern, whole in (
        (r"\b(ca)n't\b", r"\1nnot"), (r"\b(w)on't\b", r"\1ill not"), (r"\b(sha)n't\b", r"\1ll not"), (r"n't\b", " not"),
        (r"\b(I)'m\b", r"\1 am"), (r"'ve\b", " have"), (r"'ll\b", " will"), (r"'re\b", " are"), (r"\b(let)'s\b", r"\1 us"),
        (r"\b(it|that|there|here|what|who|where|how|he|she)'s (been|got|had)\b", r"\1 has \2"),
        (r"\b(it|that|there|here|what|who|where|how|he|she)'s\b", r"\1 is"),
        (r"\b(I|he|she|we|they|it|you|that)'d (been|better)\b", r"\1 had \2"), (r"\b(I|he|she|we|they|it|you|that)'d\b", r"\1 would"),
    )
)  # fmt: skip
_NOT_WORDS = re.compile(r"(`[^`]*`|\b\w*[a-z0-9_][A-Z]\w*\b|\"[^\"\n]*\")")
"""Code and quotations, which no style changes."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A persona's style, as it changes words."""

    style: Style

    def request(self, chance: Random, text: str, about_text: bool) -> tuple[str, str]:
        """A request in this style with how such a person starts, and how they end; `about_text`: it asks for a text to be reworked."""
        if text[-1] not in ".!?:,":
            text += "."
        if self.style.exclaims and text.endswith("."):
            text = text[:-1] + "!"
        closers = (*self.style.closers, *self.style.text_closers) if about_text else self.style.closers
        return f"{chance.choice(self.style.openers)} {self.say(text)}".strip(), chance.choice(closers)

    def say(self, text: str, spoken: bool = True) -> str:
        """Running text in this style; what is not spoken but composed keeps its capitals."""
        pieces = _NOT_WORDS.split(text)
        for number in range(0, len(pieces), 2):
            if self.style.lowercase and spoken:
                pieces[number] = pieces[number].lower()
            if not self.style.contracts:
                for pattern, whole in _CONTRACTIONS:
                    pieces[number] = pattern.sub(whole, pieces[number])
        return "".join(pieces)


class Composer:
    """Writes the sessions of one persona's life; one instance per session, because all chance in it is that session's."""

    def __init__(self, persona: Persona, chance: Random, **given: str) -> None:
        self._bank = bank_of(persona.split)
        self._chance = chance
        self._fill = Filler(chance, self._bank.slots, persona.name, given, persona.age)
        self._voice = Voice(next(style for style in self._bank.styles if style.description == persona.speaking_style))

    def passing_remark(self, scenario_name: str, cue: str, lead: str = "") -> SessionDraft:
        """Tool use in which the user drops `cue` (a bank text); `lead` goes before it."""
        scenario, spoken = self._bank.scenarios[scenario_name], scenario_name in _SPOKEN
        remark = self._fill(f"{lead} {cue}".strip())
        turns = [*self._conversation(scenario, remark, spoken), *self._exchange(scenario.followups)]
        return SessionDraft(exchanges=_exchanges(turns), quotes=(self._voice.say(remark, spoken),))

    def errand_then(self, scenario_name: str, last_ask: str, last_answer: str) -> SessionDraft:
        """Tool use that says nothing, then an exchange of its own. Quotes what the user says last."""
        turns = self._errand(scenario_name)
        said = self._voice.say(self._fill(last_ask))
        return SessionDraft(exchanges=_exchanges([*turns, said, self._fill(last_answer)]), quotes=(said,))

    def errand(self, scenario_name: str) -> ConversationDraft:
        """Tool use as in the sessions that tell something, which tells nothing."""
        turns = [*self._errand(scenario_name), *self._exchange(self._bank.scenarios[scenario_name].followups)]
        return ConversationDraft(exchanges=_exchanges(turns))

    def framed(self, frames: Sequence[NoiseFrame], scenario_name: str) -> ConversationDraft:
        """A whole conversation around a trap, its words given to the constructor."""
        frame = self._chance.choice(frames)
        self._fill.lists(frame.lists)
        user = self._ask(self._chance.choice(frame.user), self._decoy("frame", scenario_name))
        reply = self._fill(self._chance.choice(frame.assistant))
        follow = self._chance.choice(frame.followups)
        turns = [user, reply, self._voice.say(self._fill(follow.user)), self._fill(follow.assistant)]
        return ConversationDraft(exchanges=_exchanges(turns))

    def words(self, text: str) -> str:
        """A bank text with its slots filled."""
        return self._fill(text)

    def padding(self, area: str, scenario_name: str) -> ConversationDraft:
        """A task of an area, impersonal from its first word to its last."""
        topic = self._chance.choice(self._bank.padding[area])
        self._fill.lists(topic.lists).numbers(topic.numbers, topic.derive)
        turns = [
            self._ask(self._chance.choice(topic.asks), self._decoy("padding", scenario_name)),
            self._fill(self._chance.choice(topic.answers)),
        ]
        for follow in self._chance.sample(topic.followups, self._chance.randint(0, min(2, len(topic.followups)))):
            turns += [self._voice.say(self._fill(follow.user)), self._fill(follow.assistant)]
        return ConversationDraft(exchanges=_exchanges(turns))

    def _ask(self, text: str, aside: str) -> str:
        """A request by itself: how this person starts, `text` filled, a remark in passing (or none), how they end."""
        request, closer = self._voice.request(self._chance, self._fill(text), about_text=False)
        return f"{request}\n\n{aside}\n\n{closer}".strip() if aside else f"{request} {closer}".strip()

    def _errand(self, scenario_name: str) -> tuple[str, str]:
        """A request in which nothing shows, and its reply."""
        scenario, spoken = self._bank.scenarios[scenario_name], scenario_name in _SPOKEN
        remark = self._chance.choice(self._bank.moves.decoys) if self._chance.random() < _DECOYS["errand"] else ""
        return self._conversation(scenario, self._fill(remark), spoken)

    def _decoy(self, where: str, scenario_name: str) -> str:
        """A remark in passing that tells nothing, with what leads over to it; in some sessions only."""
        if self._chance.random() >= _DECOYS[where]:
            return ""
        return self._aside(self._bank.scenarios[scenario_name], self._fill(self._chance.choice(self._bank.moves.decoys)), self._voice.say)

    def _conversation(self, scenario: Scenario, remark: str, spoken: bool) -> tuple[str, str]:
        """The user's request, with `remark` in it as the user's voice has it, and the assistant's reply."""
        topic = self._chance.choice(scenario.topics)
        self._fill.lists(topic.lists)
        ends = tuple(self._fill(self._chance.choice(lines)) if lines else "" for lines in (scenario.greetings, scenario.signoffs))
        polish = scenario.reply == "polish"
        ask, closer = self._voice.request(self._chance, self._fill(self._chance.choice(scenario.asks)), polish)
        wordings = [self._chance.sample(move, 2) for move in (topic.opening, topic.middle, topic.closing)]
        mine = [self._voice.say(self._fill(first), spoken) for first, _ in wordings]
        material = self._fill(self._chance.choice(topic.material)).rstrip() if topic.material else ""
        place = self._chance.randrange(3)
        text = _text(mine, self._aside(scenario, remark, lambda words: self._voice.say(words, spoken)), place, ends)
        blocks = [f"{ask} {closer}" if polish and not ask.endswith(":") else ask, text, material, "" if polish else closer]
        request = "\n\n".join(block.strip() for block in blocks if block.strip())
        lead, note = self._fill(self._chance.choice(scenario.answers)), self._fill(self._chance.choice(scenario.notes))
        if polish:
            theirs = [self._fill(second) for _, second in wordings]
            kept = self._aside(scenario, remark, str) if self._chance.random() < _KEPT else ""
            return request, f"{lead}\n\n{_text(theirs, kept, place, ends)}\n\n{note}"
        chosen = sorted(self._chance.sample(range(len(topic.advice)), 3))
        return request, "\n\n".join([lead, *(self._fill(topic.advice[index]) for index in chosen), note])

    def _aside(self, scenario: Scenario, remark: str, say: Callable[[str], str]) -> str:
        """The remark in passing, with or without words that lead over to it, said by `say`; nothing where there is no remark."""
        if not remark:
            return ""
        bridge = self._fill(self._chance.choice(scenario.bridges)) if self._chance.random() < _BRIDGED else ""
        return f"{say(bridge)} {say(remark)}".strip()

    def _exchange(self, followups: Sequence[Exchange]) -> list[str]:
        if self._chance.random() >= _FOLLOWUP_SHARE:
            return []
        follow = self._chance.choice(followups)
        return [self._voice.say(self._fill(follow.user)), self._fill(follow.assistant)]


def _text(moves: Sequence[str], aside: str, place: int, ends: Sequence[str]) -> str:
    """The three moves, and the aside after the move at `place`, between a greeting and a sign-off."""
    paragraphs = [*moves[: place + 1], aside, *moves[place + 1 :]]
    if place:
        paragraphs[:2] = [moves[0] + (" " if moves[0][-1:] in ".!?\"')" else "\n") + moves[1]]
    return "\n\n".join(paragraph for paragraph in (ends[0], *paragraphs, ends[1]) if paragraph)


def _exchanges(turns: Sequence[str]) -> tuple[drafts.Exchange, ...]:
    return tuple(drafts.Exchange(user=user, assistant=reply) for user, reply in zip(turns[::2], turns[1::2], strict=True))
