"""Who gets the credit: advantages of the writes and answers of a group of rollouts of one user's history.

A rollout writes T times and is then asked K questions, each at a moment of the history. An answer competes only with the answers of the
other rollouts to the same question; what a write is worth is how the answers after it fared. Nothing is divided by a standard deviation
(Liu et al. 2025, "Understanding R1-Zero-like training", Dr. GRPO): easy and hard questions count alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Credit:
    """Advantages of one group of G rollouts."""

    answers: Array
    """Shape (G, K)."""
    writes: tuple[Array, ...]
    """For each rollout, one for each of its writes."""


def assign_credit(rewards: Array, asked_after: Sequence[Sequence[int]], writes: Sequence[int]) -> Credit:
    """The credit of a group.

    `rewards`: shape (G, K), the reward of each rollout's answer to each question; nan where there is none (a judge that failed), which
    then counts for nobody. `asked_after`: for each rollout, how many writes came before each question, K numbers from 0 on; rollouts may
    have unequal numbers of `writes`, G numbers. The advantage of an answer is its reward less the mean of the group's to the same
    question; that of write t (from 0) is the mean advantage of the answers to questions asked after it, 0 where there are none.
    """
    known = ~np.isnan(rewards)
    counts = known.sum(axis=0)
    means = np.where(counts > 0, np.nansum(rewards, axis=0) / np.maximum(counts, 1), 0.0)
    answers = np.where(known, rewards - means, 0.0)
    return Credit(
        answers,
        tuple(
            np.array([_mean(answers[rollout][known[rollout] & (np.asarray(after) > write)]) for write in range(number)])
            for rollout, (after, number) in enumerate(zip(asked_after, writes, strict=True))
        ),
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else 0.0
