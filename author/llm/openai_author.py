"""The author that pays: a language model behind any OpenAI-compatible server, one or several.

A request goes: rendered prompt, journal (a finished call is replayed, never repeated), budget, a server with room, reply, journal,
check. An invalid reply is handed back to the model with what is wrong, at most twice; then the record is unwritten. All of it happens
on one event loop in a thread of its own, whichever shard asks, so that the servers see one client with one pace.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from author.llm.asking import Asking, model_name
from author.llm.ledger import Ledger
from author.llm.request import Request, Wanted
from author.llm.wire import InvalidReply
from author.seam import Unwritten
from prompts.render import prompts_hash, render, render_repair
from schemas.config import Config, without_folder
from schemas.errors import SubtextError
from store.journal import Journal

Draft = TypeVar("Draft", bound=BaseModel)
Result = TypeVar("Result")
_REPAIRS = 2


class OpenAIAuthor:
    """See `author.seam.Author`. Calls are kept in the folder `journal`."""

    kind = "openai"
    varies = True

    def __init__(self, config: Config, journal: Path) -> None:
        self._config = config.author
        self.name = f"openai-{without_folder(model_name(config.author))}"
        self._journal = Journal(journal)
        self._ledger = Ledger(config.author.price, config.budget, self._journal.found)
        self._journal.found.clear()  # the ledger has them
        self._asking = Asking(config.author, self._journal, self._ledger)
        self._door = threading.Lock()
        """Held where a request comes in, and where the author stops: none comes in afterwards."""
        self._told_to_stop = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="author", daemon=True)
        self._thread.start()

    def id_for(self, stage: str) -> str:
        """See `author.seam.Author.id_for`: the model, how it is sampled, and the prompts."""
        return f"{self.name}-{self._config.temperature}-{self._config.text_limit}-{prompts_hash(stage)}"

    async def write(self, prompt: str, variables: Mapping[str, object], schema: type[Draft], seed: int, record_id: str) -> Draft:
        """See `author.seam.Author.write`."""
        with self._door:
            if self._asking.stopped is not None:
                raise self._asking.stopped
            waiting = asyncio.run_coroutine_threadsafe(self._outcome(self._write(prompt, variables, schema, seed, record_id)), self._loop)
        # Shielded: when a shard is given up, what it asked for is still paid for, and journalled.
        outcome: Draft | Exception = await asyncio.shield(asyncio.wrap_future(waiting))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _outcome(self, work: Coroutine[Any, Any, Result]) -> Result | Exception:
        """What came of `work`, errors included: one that nobody waits for any more must not be lost in the loop."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            return self._asking.stopped or SubtextError("stopped")
        except Unwritten as error:
            return error
        except Exception as error:
            if isinstance(error, SubtextError) and self._asking.stopped is None:
                self._asking.stopped = error
                self._drop_unsent()
            return error
        finally:
            self._tasks.discard(task)

    async def _write(self, prompt: str, variables: Mapping[str, object], schema: type[Draft], seed: int, record_id: str) -> Draft:
        wanted = Wanted(prompt, variables, schema, seed, record_id)
        request = Request.first(wanted, render(prompt, variables), self._config, self._journal.generation(record_id))
        while True:
            if self._asking.stopped is not None:
                raise self._asking.stopped
            entry = await self._asking.answer(request)
            if entry.problem:
                raise Unwritten(entry.call.finish_reason, entry.problem)
            try:
                return request.read(entry.reply or "", entry.call.finish_reason)
            except InvalidReply as bad:
                if request.repair == _REPAIRS or not request.repairable:
                    raise Unwritten(bad.fault, f"after {request.repair} repairs: {bad}", entry.reply, retry=record_id) from bad
                request = request.again(entry.reply or "", bad, render_repair(bad.problems))

    def spent(self) -> dict[str, Any]:
        """See `author.seam.Author.spent`."""
        return self._ledger.figures()

    def status(self) -> str:
        """See `author.seam.Author.status`."""
        return f"{self._ledger.line()}, {self._asking.in_flight} under way"

    def course(self) -> list[list[tuple[float, int]]]:
        """For each server, how the number of requests at once moved: (seconds since the first, limit)."""
        return self._asking.course()

    def stop(self) -> None:
        """See `author.seam.Author.stop`."""
        again = self._asking.stopped is not None and self._told_to_stop
        self._told_to_stop = True
        self._refuse()
        if again:
            self._loop.call_soon_threadsafe(self._drop, self._tasks)

    def _refuse(self) -> None:
        """Send nothing from now on."""
        with self._door:
            self._asking.stopped = self._asking.stopped or SubtextError("stopped")
        self._asking.give_up()
        self._loop.call_soon_threadsafe(self._drop_unsent)

    def _drop_unsent(self) -> None:
        self._drop(self._tasks - self._asking.sending)

    def _drop(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()

    def close(self) -> None:
        """See `author.seam.Author.close`."""
        if self._loop.is_closed():
            return
        self._refuse()
        try:
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._journal.close()

    async def _finish(self) -> None:
        while self._tasks:
            self._drop_unsent()
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        await self._asking.close()
        await asyncio.get_running_loop().shutdown_default_executor()
