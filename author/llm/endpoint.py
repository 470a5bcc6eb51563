"""One server of a language model: sending a request once, and naming what came of it.

The `openai` package carries the request; its own retries are off, because who retries must also know the budget, the pace and the
journal. Whatever can go wrong is put into three classes by whose turn it is: `Fault` (try again, here or elsewhere), `Unwritten`
(this record cannot be had) and SubtextError (the run cannot go on).
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from dotenv import dotenv_values

from author.llm.pace import Load
from schemas.config import AuthorConfig
from schemas.errors import InputError, SubtextError

_TOO_LONG = ("context_length", "context length", "context size", "maximum context", "exceed_context", "too many tokens", "input tokens")
_UNWANTED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
_UNPAID = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that waiting does not help."""
_CONNECT_S, _LOOK_S = 10.0, 30.0
"""Seconds to reach a server, and for it to say what it serves: it need not write for that."""
_LONGEST_PAUSE_S = 60.0
"""What a server may ask us to wait, at most: a longer wait is the user's decision."""
_DISPENSABLE = frozenset({"max_tokens", "temperature", "seed"})
"""Options without which a request still says what it must: reasoning models of OpenAI want another name for the first."""
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
    first_token: Mapping[str, float] = field(default_factory=dict)
    """Log-probabilities of what the reply could have begun with, where they were asked for."""


def api_key(config: AuthorConfig) -> str:
    """The key: from the environment, else from `.env` in the working folder, which is read and never written."""
    name = config.api_key_env
    key = (os.environ.get(name) or dotenv_values(Path(".env")).get(name) or _NO_KEY).strip()  # secret files end in a newline
    if not (key.isascii() and key.isprintable()):  # or the error would come from deep below, and quote it
        raise InputError(f"{name} holds characters that no key has, such as typographic quotes; set it again")
    return key


class Endpoint:
    """One server. Used from one event loop."""

    def __init__(self, url: str, model: str, config: AuthorConfig, number: int) -> None:
        self.url, self.number = url, number
        self._model, self._key_env, self._timeout = model, config.api_key_env, config.timeout_s
        self._key = api_key(config)
        self.context: int | None = None
        """Tokens of the longest request with its reply, where the server says so (vLLM does)."""
        self._unspoken: set[str] = set()
        self._client = _client(url, self._key, config.timeout_s)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _clean(self, text: object) -> str:
        """What a server said, in one line, without the key that some of them repeat."""
        said = str(text) if self._key == _NO_KEY else str(text).replace(self._key, "***")  # before the cut, which may leave a part of it
        return " ".join(said.split())[:300]

    async def check(self) -> None:
        """See that the server is there, takes the key and has the model. SubtextError says what to do. Servers without a list pass."""
        try:
            listing = self._client.with_options(timeout=min(self._timeout, _LOOK_S)).models.list()
            served = {model.id: getattr(model, "max_model_len", None) async for model in listing}
        except openai.APIConnectionError as error:
            raise Fault("connection", self._clean(error.__cause__ or error)) from error
        except openai.AuthenticationError as error:
            raise self._final(error) from error
        except (openai.APIError, ValueError, TypeError, AttributeError):  # no list, or not for this key, or not now
            return
        if served and self._model not in served:
            raise SubtextError(f"{self.url} does not serve {self._model!r}; it serves {', '.join(list(served)[:5])} (author.model)")
        self.context = served.get(self._model)

    async def send(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> Reply:
        """Send a request once. Raises Fault, Impossible, or SubtextError for what no request will get past."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):  # the client's own starts again with every byte
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self._model,
                    messages=list(messages),  # type: ignore[arg-type]  # plain mappings of role and content
                    **self._spoken(options),
                )
            return _reply(json.loads(raw.content), time.monotonic() - began)
        except (openai.APITimeoutError, TimeoutError) as error:
            raise Fault("timeout", f"no reply in {self._timeout:g} s") from error
        except openai.APIConnectionError as error:
            raise Fault("connection", self._clean(error.__cause__ or error)) from error
        except openai.APIStatusError as error:
            if self._learns(error):
                return await self.send(messages, options)
            raise self._status(error) from error
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise Fault("body", f"the reply is not a chat completion ({self._clean(error)})") from error

    def _spoken(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options as this server takes them."""
        spoken = {name: value for name, value in options.items() if name not in self._unspoken}
        if "max_tokens" in self._unspoken:
            spoken["max_completion_tokens"] = options["max_tokens"]
        return spoken

    def _learns(self, error: openai.APIStatusError) -> bool:
        """Whether the server refused one of the options that some models do not take, and will be spared it from now on."""
        name = str(error.param)
        if error.status_code != 400 or name not in _DISPENSABLE or name in self._unspoken:
            return False
        self._unspoken.add(name)
        return True

    def _status(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP status means."""
        status, said = error.status_code, self._clean(error.message)
        if status == 429 and str(error.code) in _UNPAID:
            return self._final(error)
        if status == 429 and "request too large" in said.lower():  # OpenAI: for the tokens allowed in a minute, whenever it is sent
            return Impossible("context_length", f"{said}; ask for less in one request")
        if status in (408, 409, 425, 429) or status >= 500:
            return Fault(str(status), said, _retry_after(error))
        if status in (400, 413, 422):
            codes = {str(error.code), str(error.type)}
            if status == 413 or any(sign in f"{' '.join(codes)} {said}".lower() for sign in _TOO_LONG):
                return Impossible("context_length", f"{said}; use a model with a longer context, or ask for less in one request")
            if codes & _UNWANTED:
                return Impossible("refused", said)
        return self._final(error)

    def _final(self, error: openai.APIStatusError) -> SubtextError:
        """What stops the run: no further request would fare better."""
        what = {
            401: f"the key is missing or wrong: set {self._key_env} in the environment or in .env",
            403: f"the key may not use this model or server: use another in {self._key_env}, or another author.model",
            429: "the account has no credit left; top it up, then run the same command again (finished calls are kept)",
            402: "the account has no credit left; top it up, then run the same command again (finished calls are kept)",
            404: f"no model {self._model!r} there, or author.base_url is not the address that ends in /v1",
        }.get(error.status_code, "the server does not take such requests; see docs/operations.md")
        return SubtextError(f"{self.url} answered {error.status_code}: {what} (it said: {self._clean(error.message)})")

    async def load(self) -> Load | None:
        """What a vLLM says of its load; None where the server says nothing of the kind. Raises Fault where it says nothing now."""
        try:
            raw = await self._client.with_options(timeout=5).get(f"{self.url.removesuffix('/').removesuffix('/v1')}/metrics", cast_to=str)
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
            raise Fault("metrics", self._clean(error)) from error
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


def _client(url: str, key: str, timeout_s: float) -> openai.AsyncOpenAI:
    """A client that leaves retries and the number of connections to us. InputError for an address that is none."""
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise InputError(f"author.base_url: {url} is not an address ({error})") from error
    timeout = openai.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    transport = openai.DefaultAsyncHttpxClient(timeout=timeout, limits=limits)
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout, http_client=transport)


def _reply(body: Any, seconds: float) -> Reply:
    """The parts of a chat completion that matter. Raises KeyError and its like where it is not one."""
    choice, usage = body["choices"][0], body.get("usage") or {}
    message = choice["message"]
    return Reply(
        content=_text(message.get("content")),
        refusal=_text(message.get("refusal")),
        finish_reason=_text(choice.get("finish_reason"))[:40],
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        seconds=seconds,
        first_token=_first_token(choice.get("logprobs")),
    )


def _first_token(logprobs: Any) -> dict[str, float]:
    """The alternatives of the first token, spaces around them taken off; where two become one, the likelier."""
    found: dict[str, float] = {}
    for place in ((logprobs or {}).get("content") or [])[:1]:
        for one in place.get("top_logprobs") or []:
            token, value = str(one["token"]).strip(), float(one["logprob"])
            found[token] = max(value, found.get(token, value))
    return found


def _text(value: Any) -> str:
    """A text; a list of its parts, as some servers give it, put together."""
    if isinstance(value, list):
        value = "".join(part["text"] for part in value if part.get("type") == "text")
    if not isinstance(value, str | None):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value or ""


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds that the server asks to wait."""
    try:
        return min(max(0.0, float(error.response.headers["retry-after"])), _LONGEST_PAUSE_S)
    except (KeyError, ValueError):
        return None
