"""A stub of an OpenAI-compatible model server, with vLLM's metrics: it answers any JSON schema, or what a script says.

The answer depends on the request alone, so a repeated call gets the same words. Usage is a quarter of the characters; cached tokens follow
vLLM's prefix cache (blocks of 16 tokens that an earlier prompt began with).

    python -m tests.servers.model --port 8000 --base-s 0.5 --capacity 32 --slowdown 1.6
"""

import argparse
import inspect
import json
import math
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from random import Random
from typing import Any

from tests.servers.engine import Engine
from tests.servers.http import CHAT, HttpServer, Raw, Reply, serve_forever
from tests.servers.synth import synthesise

Answer = str | dict[str, Any] | list[Any] | Reply | Raw | None
"""The content (what is not text becomes JSON), the whole reply, or None for a synthesised content."""
Script = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]
_BLOCK = 64
"""Characters in one block of the prefix cache: 16 tokens."""


class ScriptedModel(HttpServer):
    """Answers chat completions by `reply`, in the time that `engine.py` describes."""

    def __init__(
        self, reply: Script | None = None, capacity: int | None = None, *, base_s: float = 0.0, slowdown: float = 1.0, queue: bool = False,
        spread: float = 0.0, name: str = "scripted", words: int = 8, items: int = 2, cached_tokens: bool = True, api_key: str | None = None,
        echo_status: int | None = None, keep_requests: bool = True, port: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(self._answer, port)
        self.reply = reply
        self.echo_status = echo_status
        """Answer every chat call with this status, the Authorization header quoted in the error. May be changed while it runs."""
        self.requests: list[dict[str, Any]] = []
        """Every chat request, parsed, in order of arrival; none without `keep_requests`."""
        self.bodies: Counter[str] = Counter()
        """How often each body came, by the start of its SHA-256."""
        self.authorizations: Counter[str] = Counter()
        """Authorization headers of chat calls."""
        self.tokens: Counter[str] = Counter()
        """prompt, cached, completion: tokens of all answers so far."""
        self.name = name
        self._engine_options = (base_s, capacity, slowdown, queue)
        self._spread, self._words, self._items, self._details = spread, words, items, cached_tokens
        self._api_key, self._keep = api_key, keep_requests
        self._blocks: set[int] = set()

    @property
    def repeats(self) -> int:
        """Calls whose body had come before."""
        with self.lock:
            return self.bodies.total() - len(self.bodies)

    def snapshot(self) -> dict[str, Any]:
        counts = super().snapshot()
        with self.lock:
            seen = {name: dict(getattr(self, name)) for name in ("bodies", "authorizations", "tokens")}
        return counts | seen | {"running": self.engine.running, "waiting": self.engine.waiting}

    async def opening(self) -> None:
        self.engine = Engine(*self._engine_options)

    async def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Raw:
        match method, path:
            case "POST", str() if path == CHAT:
                with self.counted():
                    return await self._complete(headers, body)
            case "GET", "/v1/models":
                return Reply.json({"object": "list", "data": [{"id": self.name, "object": "model", "created": 0, "owned_by": "vllm"}]})
            case "GET", "/metrics":
                return Reply(200, {"content-type": "text/plain; version=0.0.4; charset=utf-8"}, self._metrics().encode())
            case "GET", "/health":
                return Reply()
        return Reply.error(404, f"no {method} {path} here")

    async def _complete(self, headers: Mapping[str, str], body: bytes) -> Reply | Raw:
        request = json.loads(body)
        digest, key = sha256(body).hexdigest()[:16], headers.get("authorization", "")
        with self.lock:
            self.bodies[digest] += 1
            self.authorizations[key] += 1
            if self._keep:
                self.requests.append(request)
        if self.echo_status is not None:
            return Reply.error(self.echo_status, f"Incorrect API key provided: {key}")
        if self._api_key is not None and key != f"Bearer {self._api_key}":
            return Reply.error(401, f"Incorrect API key provided: {key}")
        if request.get("stream"):
            return Reply.error(400, "this stub does not stream")
        await self.engine.serve(1.0 + self._spread * Random(digest).uniform(-1.0, 1.0))
        answer = self.reply(request) if self.reply else None
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, (Reply, Raw)):
            return answer
        if answer is None:
            answer = max(scores := letters(digest), key=scores.__getitem__) if _wants_letter(request) else self.synthesise(request)
        return Reply.json(self._envelope(request, digest, answer if isinstance(answer, str) else json.dumps(answer)))

    def synthesise(self, request: Mapping[str, Any]) -> Any:
        """The content it gives where no script says otherwise; for scripts that change a part of it."""
        return synthesise(request, self._words, self._items)

    def _envelope(self, request: Mapping[str, Any], digest: str, content: str) -> dict[str, Any]:
        most = request.get("max_completion_tokens") or request.get("max_tokens") or math.inf
        cut = _tokens(content) > most
        if cut:
            content = content[: int(most) * 4]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": {"content": logprobs(content, letters(digest), request.get("top_logprobs") or 0)}
            if request.get("logprobs")
            else None,
            "finish_reason": "length" if cut else "stop",
        }
        return {
            "id": f"chatcmpl-{digest}", "object": "chat.completion", "created": int(time.time()), "model": request.get("model", self.name),
            "choices": [choice], "usage": self._usage(request, content),
        }  # fmt: skip

    def _usage(self, request: Mapping[str, Any], content: str) -> dict[str, Any]:
        prompt = "\n".join(json.dumps(message.get("content")) for message in request["messages"])
        chain, blocks = 0, []
        for start in range(0, len(prompt) - _BLOCK + 1, _BLOCK):
            chain = hash((chain, prompt[start : start + _BLOCK]))
            blocks.append(chain)
        hits = next((place for place, block in enumerate(blocks) if block not in self._blocks), len(blocks))
        usage = {"prompt": _tokens(prompt), "cached": hits * _BLOCK // 4, "completion": _tokens(content)}
        with self.lock:
            self._blocks.update(blocks)
            self.tokens.update(usage)
        counts = {"prompt_tokens": usage["prompt"], "completion_tokens": usage["completion"]}
        details = {"prompt_tokens_details": {"cached_tokens": usage["cached"]}} if self._details else {}
        return counts | {"total_tokens": usage["prompt"] + usage["completion"]} | details

    def _metrics(self) -> str:
        figures = [
            ("num_requests_running", "gauge", float(self.engine.running)),
            ("num_requests_waiting", "gauge", float(self.engine.waiting)),
            ("kv_cache_usage_perc", "gauge", self.engine.usage),
            ("prompt_tokens_total", "counter", float(self.tokens["prompt"])),
            ("generation_tokens_total", "counter", float(self.tokens["completion"])),
            ("prefix_cache_queries_total", "counter", float(self.tokens["prompt"])),
            ("prefix_cache_hits_total", "counter", float(self.tokens["cached"])),
        ]
        return "".join(
            f"# HELP vllm:{name} {name.replace('_', ' ')}.\n# TYPE vllm:{name} {kind}\n"
            f'vllm:{name}{{engine="0",model_name="{self.name}"}} {value}\n'
            for name, kind, value in figures
        )


def letters(digest: str) -> dict[str, float]:
    """Log probabilities of the letters A to D, from a hash."""
    random = Random(digest)
    weights = {letter: random.random() + 0.01 for letter in "ABCD"}
    whole = sum(weights.values())
    return {letter: math.log(weight / whole) for letter, weight in weights.items()}


def logprobs(content: str, scores: Mapping[str, float], top: int) -> list[dict[str, Any]]:
    """The tokens of `content`: letters that stand alone with their rivals, everything between them as sure."""
    best = sorted(scores.values(), reverse=True)
    tokens = []
    for token in filter(None, re.split(r"\b([A-D])\b", content)):
        chosen = {token: 0.0}
        if token in scores:  # the letter that was written takes the best score
            others = sorted((letter for letter in scores if letter != token), key=scores.__getitem__, reverse=True)
            chosen = dict(zip([token, *others], best, strict=True))
        ranked = [{"token": one, "logprob": score, "bytes": list(one.encode())} for one, score in chosen.items()]
        tokens.append(ranked[0] | {"top_logprobs": ranked[:top]})
    return tokens


def _wants_letter(request: Mapping[str, Any]) -> bool:
    return bool(request.get("logprobs")) and not request.get("response_format")


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def main() -> None:
    """Serve as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="scripted")
    parser.add_argument("--base-s", type=float, default=0.0)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--slowdown", type=float, default=1.0)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--queue", action="store_true")
    parser.add_argument("--words", type=int, default=8)
    parser.add_argument("--items", type=int, default=2)
    parser.add_argument("--api-key")
    serve_forever(ScriptedModel(**vars(parser.parse_args()), keep_requests=False))


if __name__ == "__main__":
    main()
