"""Who carries out the steps: threads of this process, or Prefect tasks on its thread runner. The steps are the same functions.

A step is one shard of one stage. Chains of steps are independent of each other; within a chain each step is given the receipts of
those before it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Protocol

from flows.progress import Progress
from store.parts import Receipt


@dataclass(frozen=True, slots=True)
class Step:
    """One shard of one stage: what to call with the receipts of the chain so far."""

    stage: str
    index: int
    work: Callable[[Sequence[Receipt]], Receipt]


Chain = Sequence[Step]


class Runner(Protocol):
    """Carries out chains."""

    def run(self, chains: Sequence[Chain], give_up: Callable[[], None]) -> list[list[Receipt]]:
        """The receipts of each chain, in the order given.

        The first error stops what has not begun, calls `give_up` so that what has begun ends soon, and is raised. Who interrupts while
        that is waited for has it called again.
        """
        ...


class ThreadRunner:
    """Chains on threads of this process, without a Prefect server."""

    def __init__(self, workers: int, progress: Progress) -> None:
        self._workers, self._progress = workers, progress

    def run(self, chains: Sequence[Chain], give_up: Callable[[], None]) -> list[list[Receipt]]:
        """See `Runner.run`."""
        with ThreadPoolExecutor(self._workers) as pool:
            waiting = [pool.submit(self._one, chain) for chain in chains]
            try:
                for done in as_completed(waiting):
                    done.result()
            except BaseException:
                give_up()
                try:
                    pool.shutdown(cancel_futures=True)
                except KeyboardInterrupt:
                    give_up()
                    raise
                raise
            return [done.result() for done in waiting]

    def _one(self, chain: Chain) -> list[Receipt]:
        receipts: list[Receipt] = []
        for step in chain:
            receipts.append(step.work(tuple(receipts)))
            self._progress.done(receipts[-1])
        return receipts
