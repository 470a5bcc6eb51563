"""Samples as the rows of a TRL batch: a fixed number of slots for each group, whatever it has samples.

TRL takes the mean of a group's rewards from each of them. Handing it our advantages as rewards therefore leaves them as they are only if
they add up to nothing, which those of writes need not. So one slot more than there can be samples is kept free: it is given the
reward that balances the others, and a mask that keeps it out of the loss. Slots that are left have the same mask and a reward of 0: with
the mean at 0 that is no advantage, as no reward (None) would be, of which TRL would complain at each batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memory.replay import Limits
from memory.training.rollout import Reply, Tokens, chunks_in, places_of
from memory.training.samples import Sample
from memory.training.visits import Visit

_Row = tuple[Tokens, Reply, int, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a batch of rollouts is cut."""

    slots: int
    """Rows of one group."""
    micro_batches: int
    """Forward passes of one process over its rows."""
    accumulation: int
    """Of them, those in one optimizer step."""


def lay_out(samples: int, groups: int, micro_batch: int, updates: int) -> Layout:
    """The layout for at most so many `samples` of a group and `groups` of a process: equal micro-batches, equally many for each update."""
    slots = samples + 1
    while groups * slots % (micro_batch * updates):
        slots += 1
    micro_batches = groups * slots // micro_batch
    return Layout(slots, micro_batches, micro_batches // updates)


def most_samples(visits: Sequence[Visit], group: int, limits: Limits | None) -> int:
    """The most samples that a group of rollouts of one of `visits` has; `limits` None: without a memory."""
    most = 0
    for visit in visits:
        places = [] if limits is None else places_of(visit, chunks_in(visit.turns, limits))
        writes = max((after for after, _ in places), default=0)
        branches = len({place for place in places if place[1]})
        most = max(most, group * (writes + branches + len(visit.tasks)))
    return most


def rows_of(groups: Sequence[Sequence[Sample]], slots: int, filler: int) -> dict[str, list[Any]]:
    """The rows of all `groups`, as TRL's `rollout_func` returns them; `filler` is the token in a slot without a sample.

    `advantage` is what the reward function has to return.
    """
    filled: list[_Row] = []
    for group in groups:
        if len(group) >= slots:
            raise AssertionError(f"{len(group)} samples and the balance do not fit into {slots} slots")
        filled += [(sample.prompt, sample.reply, 1, sample.advantage) for sample in group]
        filled.append(([filler], Reply((filler,)), 0, -sum(sample.advantage for sample in group)))
        filled += [([filler], Reply((filler,)), 0, 0.0)] * (slots - len(group) - 1)
    return {
        "prompt_ids": [list(prompt) for prompt, _, _, _ in filled],
        "completion_ids": [list(reply.tokens) for _, reply, _, _ in filled],
        "logprobs": [list(reply.logprobs) or [0.0] * len(reply.tokens) for _, reply, _, _ in filled],
        "env_mask": [[mask] * len(reply.tokens) for _, reply, mask, _ in filled],
        "advantage": [advantage for _, _, _, advantage in filled],
    }
