"""One server of a language model: sending a request once, and naming what came of it.

The `openai` package carries the request; its own retries are off, because who retries must also know the budget, the pace and the
journal. Whatever can go wrong is put into three classes by whose turn it is: `Fault` (try again, here or elsewhere), `Unwritten`
(this record cannot be had) and SubtextError (the run cannot go on).
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from dotenv import dotenv_values

from author.llm.pace import Load
from schemas.config import AuthorConfig
from schemas.errors import SubtextError

_TOO_LONG = ("context_length", "context length", "context size", "maximum context", "exceed_context", "too many tokens", "input tokens")
_UNWANTED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
_NO_KEY = "none"
"""What servers of one's own are sent as a key: they ask for none, the client library insists on one."""


class Fault(Exception):  # noqa: N818 (what one attempt met; counted, and tried again)
    """An attempt that brought no reply."""

    def __init__(self, kind: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retry_after = kind, detail, retry_after
        self.crowded = kind in ("429", "503", "timeout")
        """Whether it says that too much was asked at once."""
        self.sick = kind not in ("429", "body")
        """Whether it speaks against the server's health."""


class Impossible(Exception):  # noqa: N818 (an answer of the server: this request, however often)
    """The server will never answer this request."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back of one request."""

    content: str
    refusal: str
    finish_reason: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


def api_key(config: AuthorConfig) -> str:
    """The key: from the environment, else from `.env` in the working folder, which is read and never written."""
    return os.environ.get(config.api_key_env) or dotenv_values(Path(".env")).get(config.api_key_env) or _NO_KEY


class Endpoint:
    """One server. Used from one event loop."""

    def __init__(self, url: str, model: str, config: AuthorConfig, number: int) -> None:
        self.url, self.number = url, number
        self._model, self._key_env, self._timeout = model, config.api_key_env, config.timeout_s
        self._key = api_key(config)
        self.context: int | None = None
        """Tokens of the longest request with its reply, where the server says so (vLLM does)."""
        self._client = openai.AsyncOpenAI(base_url=url, api_key=self._key, max_retries=0, timeout=config.timeout_s)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _clean(self, text: object) -> str:
        """What a server said, in one line, without the key that some of them repeat."""
        said = " ".join(str(text).split())[:300]
        return said if self._key == _NO_KEY else said.replace(self._key, "***")

    async def check(self) -> None:
        """See that the server is there, takes the key and has the model. SubtextError says what to do. Servers without a list pass."""
        try:
            served = {model.id: getattr(model, "max_model_len", None) async for model in self._client.models.list()}
        except (openai.NotFoundError, openai.InternalServerError, openai.RateLimitError, json.JSONDecodeError):
            return
        except openai.APIConnectionError as error:
            raise Fault("connection", self._clean(error.__cause__ or error)) from error
        except openai.APIStatusError as error:
            raise self._final(error) from error
        if served and self._model not in served:
            raise SubtextError(f"{self.url} does not serve {self._model!r}; it serves {', '.join(list(served)[:5])} (author.model)")
        self.context = served.get(self._model)

    async def send(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> Reply:
        """Send a request once. Raises Fault, Impossible, or SubtextError for what no request will get past."""
        began = time.monotonic()
        try:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=self._model,
                messages=list(messages),  # type: ignore[arg-type]  # plain mappings of role and content
                **options,
            )
            return _reply(json.loads(raw.content), time.monotonic() - began)
        except openai.APITimeoutError as error:
            raise Fault("timeout", f"no reply in {self._timeout:g} s") from error
        except openai.APIConnectionError as error:
            raise Fault("connection", self._clean(error.__cause__ or error)) from error
        except openai.APIStatusError as error:
            raise self._status(error) from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise Fault("body", f"the reply is not a chat completion ({self._clean(error)})") from error

    def _status(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP status means."""
        status, said = error.status_code, self._clean(error.message)
        if status in (408, 409, 425, 429) or status >= 500:
            return Fault(str(status), said, _retry_after(error))
        if status in (400, 413, 422):
            code = str(error.code or "") + str(getattr(error, "type", "") or "")
            if status == 413 or any(sign in f"{code} {said}".lower() for sign in _TOO_LONG):
                return Impossible("context_length", f"{said}; use a model with a longer context, or ask for less in one request")
            if code in _UNWANTED:
                return Impossible("refused", said)
        return self._final(error)

    def _final(self, error: openai.APIStatusError) -> SubtextError:
        """What stops the run: no further request would fare better."""
        what = {
            401: f"the key is missing or wrong: set {self._key_env} in the environment or in .env",
            403: f"the key may not use this model or server: use another in {self._key_env}, or another author.model",
            404: f"no model {self._model!r} there, or author.base_url is not the address that ends in /v1",
        }.get(error.status_code, "the server does not take such requests; see docs/operations.md")
        return SubtextError(f"{self.url} answered {error.status_code}: {what} (it said: {self._clean(error.message)})")

    async def load(self) -> Load | None:
        """What a vLLM says of its load; None where the server says nothing of the kind."""
        try:
            raw = await self._client.with_options(timeout=5).get(f"{self.url.removesuffix('/').removesuffix('/v1')}/metrics", cast_to=str)
        except (openai.OpenAIError, ValueError):
            return None
        return read_metrics(raw)


def read_metrics(text: str) -> Load | None:
    """The load in a Prometheus page of vLLM (waiting requests summed over engines, the fullest KV cache); None for other pages."""
    values: dict[str, list[float]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        if name in ("vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"):
            try:
                values.setdefault(name, []).append(float(rest.rpartition(" ")[2]))
            except ValueError:
                return None
    waiting = values.pop("vllm:num_requests_waiting", None)
    return None if waiting is None else Load(sum(waiting), max((max(cache) for cache in values.values()), default=0.0))


def _reply(body: Any, seconds: float) -> Reply:
    """The parts of a chat completion that matter. Raises KeyError and its like where it is not one."""
    choice, usage = body["choices"][0], body.get("usage") or {}
    message = choice["message"]
    return Reply(
        content=message.get("content") or "",
        refusal=message.get("refusal") or "",
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        seconds=seconds,
    )


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds that the server asks to wait."""
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
