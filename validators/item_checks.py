"""All checks of an item's draft in their order: rules, then judges. The first that fails is the last that is asked."""

from schemas.drafts import ItemDraft
from schemas.outcome import Verdict
from validators.judge import Judge


async def item_verdicts(record_id: str, draft: ItemDraft, judge: Judge | None, seed: int) -> tuple[Verdict, ...]:
    """The verdicts on a draft; the last one has failed, or all have passed."""
    if judge is None:
        return ()
    answers = tuple(answer.text for answer in draft.answers)
    blind = await judge.blind(draft.query, answers, seed, record_id)
    if not blind.passed:
        return (blind,)
    everything = {"query": draft.query, "answers": (*answers, draft.no_assumption)}
    return (blind, await judge.vote("judge/options", everything, seed, record_id))
