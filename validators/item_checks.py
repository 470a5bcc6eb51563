"""All checks of an item's draft in order: rules, then judges. The first that fails is the last that is asked."""

from collections.abc import Awaitable, Callable, Sequence

from schemas.drafts import ItemDraft
from schemas.ids import normalise
from schemas.outcome import Verdict
from schemas.persona import Persona
from validators.judge import Judge
from validators.option_balance import check_option_balance
from validators.query_leak import check_query_leak
from validators.session_checks import until_one_fails

Holder = tuple[Persona, str]
"""Somebody, and the value that they hold."""


async def item_verdicts(record_id: str, draft: ItemDraft, holders: Sequence[Holder], judge: Judge | None, seed: int) -> tuple[Verdict, ...]:
    """The verdicts on a draft; the last one has failed, or all have passed. `holders`: people of the split to whom it could be asked."""
    answers = tuple(answer.text for answer in draft.answers)
    checks: tuple[Callable[[], Verdict], ...] = (
        lambda: check_option_balance(record_id, (*answers, draft.no_assumption)),
        lambda: check_query_leak(record_id, draft.query, [answer.value for answer in draft.answers]),
    )
    given = list(until_one_fails(checks))
    if judge is None or not given[-1].passed:
        return tuple(given)
    places = {normalise(answer.value): place for place, answer in enumerate(draft.answers)}
    people = [(persona, places[normalise(value)]) for persona, value in holders if normalise(value) in places]
    judges: tuple[Callable[[], Awaitable[Verdict]], ...] = (
        lambda: judge.blind(draft.query, answers, seed, record_id),
        *((lambda: judge.profile(draft.query, answers, people, seed, record_id),) if people else ()),
        lambda: judge.vote("judge/options", {"query": draft.query, "answers": (*answers, draft.no_assumption)}, seed, record_id),
    )
    for ask in judges:
        given.append(await ask())
        if not given[-1].passed:
            break
    return tuple(given)
