"""The JSON schema that binds a reply, and the reading of a reply: one schema per prompt, from the draft's own record.

The server's grammar holds what grammars hold well: names, types, allowed values, lengths of lists. Everything is checked here again,
because a server may ignore the schema, and a reply is no more than a claim.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from prompts.render import PromptMeta

Draft = TypeVar("Draft", bound=BaseModel)
_PROSE = frozenset({"title", "description", "default", "pattern"})
"""Keywords that bind nothing here, or that some servers refuse: a pattern that is not anchored, for one."""
_MOST_PROBLEMS = 6


class InvalidReply(Exception):  # noqa: N818 (a finding about a reply, which is handed back to its writer)
    """A reply that is not an instance of what was asked for."""

    def __init__(self, fault: str, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.fault = fault
        """`invalid_json`, `wrong_schema`, `refusal`, `empty` or `length`."""
        self.problems = tuple(problems)


def reply_schema(schema: type[BaseModel], meta: PromptMeta, variables: Mapping[str, object], text_limit: int | None) -> dict[str, Any]:
    """The JSON schema of `schema` as servers take it: no prose, every property required, nothing besides.

    The prompt's `choices` and `counts` bind its properties to the values and the lengths that `variables` give; `text_limit` bounds
    every free text.
    """
    bound: dict[str, Any] = _bind(schema.model_json_schema(), meta, variables, text_limit)
    return bound


def _bind(node: Any, meta: PromptMeta, variables: Mapping[str, object], text_limit: int | None) -> Any:
    if isinstance(node, list):
        return [_bind(part, meta, variables, text_limit) for part in node]
    if not isinstance(node, dict):
        return node
    bound: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            bound[key] = {name: _bind(inner, meta, variables, text_limit) for name, inner in value.items()}
        elif key not in _PROSE:
            bound[key] = _bind(value, meta, variables, text_limit)
    for name, field in bound.get("properties", {}).items():
        if name in meta.choices:
            field["enum"] = _names(variables[meta.choices[name]])
            field.pop("maxLength", None)  # a value is as long as it is
        if name in meta.counts:
            field["minItems"] = field["maxItems"] = _count(variables[meta.counts[name]])
    if "properties" in bound:
        bound |= {"required": list(bound["properties"]), "additionalProperties": False}
    if bound.get("type") == "string" and "enum" not in bound and "const" not in bound and text_limit is not None:
        bound["maxLength"] = text_limit
    return bound


def _names(value: Any) -> list[str]:
    return sorted(value)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value)


def read_reply(content: str, schema: type[Draft], meta: PromptMeta, variables: Mapping[str, object]) -> Draft:
    """The draft in a reply. Raises InvalidReply with what is wrong, in words that its writer can act on."""
    try:
        draft = schema.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        fault = "invalid_json" if found[0]["type"] == "json_invalid" else "wrong_schema"
        problems = [f"{'.'.join(str(part) for part in one['loc']) or 'reply'}: {one['msg']}" for one in found]
        raise InvalidReply(fault, problems[:_MOST_PROBLEMS]) from error
    problems = list(_unbound(draft.model_dump(mode="json"), meta, variables))
    if problems:
        raise InvalidReply("wrong_schema", problems[:_MOST_PROBLEMS])
    return draft


def _unbound(node: Any, meta: PromptMeta, variables: Mapping[str, object]) -> Iterator[str]:
    """What breaks the prompt's choices and counts."""
    if isinstance(node, list):
        for part in node:
            yield from _unbound(part, meta, variables)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in meta.choices and value not in (allowed := _names(variables[meta.choices[name]])):
                yield f"{name}: {repr(value)[:80]} is not one of {', '.join(allowed[:8])}{' …' * (len(allowed) > 8)}"
            if name in meta.counts and len(value) != (count := _count(variables[meta.counts[name]])):
                yield f"{name}: {count} wanted, there are {len(value)}"
            yield from _unbound(value, meta, variables)
