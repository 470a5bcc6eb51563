"""How much a clause of the user looks like a claim of a value: numbers for `unclaimed`, whose weights `bench.fit_unclaimed` fits."""

import re
from dataclasses import dataclass
from math import log1p

from text.encoder import Vectors
from text.words import clauses, content_stems, sentences, typed, without_code, words

_FIRST = re.compile(r"\b(?:i|i'm|im|i've|ive|i'd|i'll|me|my|mine|myself|we|our|us|we're|we've)\b", re.IGNORECASE)
_CLAIM = re.compile(
    r"\b(?:i'?m|i am|i'?ve|i have|i (?:\w+ly |never |always |only |still |do not |don't )*(?:play|write|live|work|use|wear|eat|drink|take"
    r"|keep|pay|own|rent|speak|get|go|see|stay|sing|sleep|can't|cannot|was|practi[sc]e|suffer|hate|love|prefer|like|run|collect|read|travel)"
    r"|my \w+ (?:is|are))\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:no|not|never|none|nothing|nobody|without|\w*n't|cannot|hardly|neither|nor|non|free)\b", re.IGNORECASE)
_OTHERS = re.compile(r"\b(?:he|she|his|her|hers|him|they|their|you|your)\b", re.IGNORECASE)
_HABIT = re.compile(
    r"\b(?:always|never|every|only|usually|all|for years|since|these days|most|full-time|lifelong|weekly|daily|each|ever|still)\b",
    re.IGNORECASE,
)
_EVENT = re.compile(r"\b(?:yesterday|last|today|tomorrow|this morning|tonight|was|were|had|did|again|next)\b", re.IGNORECASE)
_CODE = re.compile(r"[{}=_<>`]|\w\.\w+\(")
_ASKS = re.compile(
    r"(?:can|could|please|make|write|explain|give|tell|help|put|add|is|what|how|which|do|does|dear|who|where|when)\b", re.IGNORECASE
)
_LABEL = re.compile(r"^[\w ]{2,20}: ")
_VERBS = {"is": "am", "has": "have", "does": "do", "goes": "go", "was": "was"}


@dataclass(frozen=True, slots=True)
class Matter:
    """What must not be said."""

    value: str
    statement: str
    """In the third person, without a subject."""
    topic: str

    @property
    def claim(self) -> str:
        """The statement as the user would make it: 'I drink coffee black'."""
        verb, _, rest = self.statement.partition(" ")
        own = _VERBS.get(verb) or (verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb)
        return f"I {own} {rest}".strip().replace("I am", "I'm")

    @property
    def texts(self) -> tuple[str, str, str, str]:
        """What clauses are compared with: claim, value, topic, statement."""
        return self.claim, self.value, self.topic, self.statement


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause and the sentence that it stands in."""

    text: str
    sentence: str


def clauses_of(message: str) -> list[Clause]:
    """All clauses of a message, code left out."""
    return [
        Clause(part, sentence) for sentence in sentences(without_code(typed(message))) for part in (tuple(clauses(sentence)) or (sentence,))
    ]


def features(matter: Matter, clause: Clause, in_clause: Vectors, in_sentence: Vectors) -> dict[str, float]:
    """The numbers, by name. `in_clause` and `in_sentence`: cosines of the clause, and of its sentence, with `matter.texts`."""
    claim, value, topic, statement = (float(cosine) for cosine in in_clause)
    text, sentence = clause.text, clause.sentence
    wanted, said = content_stems(matter.value), content_stems(text)
    named = len(wanted & said) / max(len(wanted), 1)
    stated = content_stems(matter.statement)
    first, claims = bool(_FIRST.search(text)), bool(_CLAIM.search(text))
    length = len(words(text))
    return {
        "cosine_claim": claim,
        "cosine_claim_squared": claim * claim,
        "cosine_claim_first": claim * first,
        "cosine_claim_claims": claim * claims,
        "cosine_claim_label": claim * bool(_LABEL.match(sentence)),
        "cosine_claim_beyond_topic": claim - topic,
        "cosine_sentence": float(in_sentence[0]),
        "cosine_value": value,
        "cosine_value_squared": value * value,
        "cosine_value_first": value * first,
        "cosine_value_beyond_topic": value - topic,
        "cosine_topic": topic,
        "cosine_statement": statement,
        "cosine_nearest": max(claim, value, statement),
        "named": named,
        "named_whole": float(named >= 1),
        "named_first": named * first,
        "named_claims": float(named >= 1 and claims),
        "named_in_sentence": len(wanted & content_stems(sentence)) / max(len(wanted), 1),
        "stated_words": len(stated & said) / max(len(stated), 1),
        "initials": float(bool(_initials(matter) & {word for word in re.findall(r"\w+", text) if len(word) > 1 and word.isupper()})),
        "first": float(first),
        "first_in_sentence": float(bool(_FIRST.search(sentence))),
        "first_and_short": float(first and length < 8),
        "claims": float(claims),
        "negates_otherwise": float(bool(_NEGATION.search(text)) != bool(_NEGATION.search(matter.statement))),
        "others": float(bool(_OTHERS.search(text))),
        "habit": float(bool(_HABIT.search(text))),
        "event": float(bool(_EVENT.search(text))),
        "asks": float(bool(_ASKS.match(text))),
        "question": float(sentence.endswith("?")),
        "code": float(bool(_CODE.search(sentence))),
        "digits": float(any(character.isdigit() for character in text)),
        "length": log1p(length),
        "very_short": float(length <= 3),
    }


def _initials(matter: Matter) -> set[str]:
    """T1D of 'type 1 diabetes'."""
    return {
        "".join(word[0] for word in re.findall(r"\w+", text) if word not in ("a", "the", "of", "has", "is", "s")).upper()
        for text in (matter.value, matter.statement)
    }
