"""What a language model guesses without reading a history: of the query and the options alone, and with the user's profile.

It replies with one letter, and is read by the probabilities of the letters, as the judge of items is. A reader of the history is measured
elsewhere; these two say how much of the gold can be had without it.
"""

import asyncio
from collections.abc import Mapping

from author.seam import Unwritten
from schemas.ids import derive, digest
from schemas.persona import Persona
from schemas.question import Question
from validators.audit.choosing import credit
from validators.audit.estimates import by_user, ratio
from validators.audit.findings import Guesses
from validators.audit.statistics import Figure, Limit, Units, sample
from validators.audit.tables import Published
from validators.judge import Judge

LIMITS = {"blind_judge": 0.27, "profile_judge": 0.33}
_PROMPTS = {"blind_judge": "judge/blind", "profile_judge": "judge/profile"}
MOST = 400
"""Questions asked about, drawn by hash: so many that two points beyond a limit are seen, and two calls of one token each."""


async def guess(judge: Judge, published: Published, seed: int) -> dict[str, Guesses]:
    """Have `judge` guess at a sample of the test questions; by figure. What it was asked once is not asked again (see the journal)."""
    personas = {persona.persona_id: persona for persona in published.personas}
    questions = [question for question in published.splits["test"].questions if question.persona_id in personas]
    drawn = sorted(questions, key=lambda question: digest("guess", question.question_id))[:MOST]
    found = {}
    for figure, prompt in _PROMPTS.items():
        guesses = [_guess(judge, prompt, question, personas[question.persona_id], seed) for question in drawn]
        earned = dict(zip([question.question_id for question in drawn], await asyncio.gather(*guesses), strict=True))
        found[figure] = Guesses(by=judge.author.name, earned=earned)
    return found


def guess_figures(published: Published, guesses: Mapping[str, Guesses]) -> list[Figure]:
    """The accuracy of the guesses. One that cannot be read counts as right: silence must not meet an upper limit."""
    asker = {question.question_id: question.persona_id for question in published.questions}
    figures = []
    for name, limit in LIMITS.items():
        earned = guesses[name].earned if name in guesses else {}
        users, sums, numbers = by_user([(asker[one], 1.0 if part is None else part) for one, part in earned.items()])
        figures.append(sample(name, users, ratio(sums, numbers), Units(len(earned), "test questions"), Limit(None, limit)))
    return figures


async def _guess(judge: Judge, prompt: str, question: Question, persona: Persona, seed: int) -> float | None:
    """What one guess earns; None where it cannot be read."""
    variables = {"query": question.text, "options": tuple(option.text for option in question.options), "persona": persona}
    try:
        shares = await judge.shares(prompt, variables, derive(seed, "guess", question.question_id), question.question_id)
    except Unwritten:
        return None
    return credit(shares, question.gold_index)
