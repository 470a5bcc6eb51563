"""A request: what is asked, in what shape, for which record; how its reply is read, and how an invalid one is handed back."""

import json
from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from author.llm.wire import InvalidReply, read_reply, reply_schema
from prompts.render import PromptMeta, Rendered, prompt_meta
from schemas.config import AuthorConfig
from schemas.ids import derive, digest

Draft = TypeVar("Draft", bound=BaseModel)
_DEFAULT_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Draft]):
    """What a stage asked of the author; see `author.seam.Author.write`."""

    prompt: str
    variables: Mapping[str, object]
    schema: type[Draft]
    seed: int
    record_id: str


@dataclass(frozen=True, slots=True)
class Request(Generic[Draft]):
    """One request: what is asked, in what shape, for which record."""

    wanted: Wanted[Draft]
    messages: tuple[Mapping[str, str], ...]
    options: Mapping[str, Any]
    meta: PromptMeta
    generation: int
    repair: int = 0
    opening: tuple[Mapping[str, str], ...] = ()
    """The messages of the first request: a repair hands back one bad reply, not all."""

    @classmethod
    def first(cls, wanted: "Wanted[Draft]", rendered: Rendered, config: AuthorConfig, generation: int) -> "Request[Draft]":
        """The request as the prompt has it. Another generation is another seed."""
        meta = prompt_meta(wanted.prompt)
        seed = (derive(wanted.seed, generation) if generation else wanted.seed) & 0x7FFFFFFF
        options: dict[str, Any] = {
            "max_tokens": _most_tokens(meta, wanted.variables),
            "temperature": config.temperature if meta.temperature is None else meta.temperature,
            "seed": seed,
        }
        if meta.letters is not None:
            options |= {"logprobs": True, "top_logprobs": 20}
        elif not meta.plain:
            schema = reply_schema(wanted.schema, meta, wanted.variables, config.text_limit)
            named = {"name": wanted.prompt.replace("/", "_"), "strict": True, "schema": schema}
            options["response_format"] = {"type": "json_schema", "json_schema": named}
        messages = ({"role": "system", "content": rendered.system}, {"role": "user", "content": rendered.user})
        return cls(wanted, messages, options, meta, generation, opening=messages)

    def again(self, reply: str, bad: InvalidReply, words: str) -> "Request[Draft]":
        """The same with the bad reply and what is wrong with it. A reply that is no use to its writer is left out.

        With another seed: a model that repeats its mistake word for word would otherwise be asked the same again, and the journal answer.
        """
        system, user = self.opening
        if reply.strip() and bad.fault not in ("length", "refusal"):
            said = reply.encode("utf-8", "replace").decode()  # half a character cannot be sent back
            more: tuple[Mapping[str, str], ...] = (user, {"role": "assistant", "content": said}, {"role": "user", "content": words})
        else:
            more = ({"role": "user", "content": f"{user['content']}\n\n{words}"},)
        options = {**self.options, "seed": derive(self.options["seed"], "repair", self.repair) & 0x7FFFFFFF}
        return replace(self, messages=(system, *more), options=options, repair=self.repair + 1)

    @property
    def letters(self) -> int | None:
        """How many lettered options there are, where the reply is one letter."""
        if self.meta.letters is None:
            return None
        return len(cast(Sized, self.wanted.variables[self.meta.letters]))

    @property
    def repairable(self) -> bool:
        """Whether a bad reply can be handed back: only JSON can be put right."""
        return self.letters is None and not self.meta.plain

    @property
    def size(self) -> int:
        """Bytes of the messages."""
        return sum(len(message["content"].encode("utf-8", "replace")) for message in self.messages)

    def id(self, model: str) -> str:
        """Names the request and the record that it is made for: what the journal is asked by."""
        request = json.dumps([self.messages, self.options], ensure_ascii=True, sort_keys=True)
        return digest("call", model, request, self.wanted.record_id, size=16)

    def read(self, content: str, finish_reason: str) -> Draft:
        """The draft in a reply; InvalidReply says what is wrong."""
        if finish_reason == "refusal":
            raise InvalidReply("refusal", [f"the model refused: {content[:200]}"])
        if finish_reason == "length" and self.repairable:
            raise InvalidReply("length", [f"the reply was cut off after {self.options['max_tokens']} tokens; write less"])
        if not content.strip():
            raise InvalidReply("empty", ["the reply was empty"])
        if self.meta.plain:
            return self.wanted.schema.model_validate({"text": content})
        return read_reply(content, self.wanted.schema, self.meta, self.wanted.variables)

    def fault(self, content: str, finish_reason: str) -> tuple[str, ...]:
        """What is wrong with a reply, in a word; nothing where it is right."""
        try:
            self.read(content, finish_reason)
        except InvalidReply as bad:
            return (bad.fault,)
        return ()


def _most_tokens(meta: PromptMeta, variables: Mapping[str, object]) -> int:
    most = meta.max_tokens
    return cast(int, variables[most]) if isinstance(most, str) else most or _DEFAULT_TOKENS
