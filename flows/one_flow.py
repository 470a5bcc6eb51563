"""Work on a finished dataset as a Prefect flow of its own, or without one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def carried_out(name: str, root: Path, work: Callable[[], Found], no_prefect: bool) -> Found:
    """What `work` returns: done as the flow `subtext-NAME` of the dataset `root`, unless Prefect is not wanted."""
    if no_prefect:
        return work()
    import flows.prefect_settings  # noqa: F401  (before Prefect)

    # isort: split
    from prefect import flow
    from prefect.events.worker import EventsWorker

    @flow(name=f"subtext-{name}", flow_run_name=f"{root.parent.name}-{root.name}", persist_result=False)
    def whole() -> Found:
        return work()

    try:
        return whole()
    finally:
        EventsWorker.drain_all(timeout=10)  # or the server that stops with this process prints tracebacks of unsent events
