"""A small valid instance of a JSON schema, in plain words and always the same for the same request.

Enough of JSON Schema for pydantic's records. A conversation in it (`messages` with role and content, or `exchanges` of user and assistant)
alternates, and its `quotes` stand word for word in what the user wrote first. A pattern that plain words do not fit is an error.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Any

_WORDS = (
    "amber anchor apple apron arrow attic autumn bakery balcony barley basil basket beacon bench berry bicycle blanket border bottle "
    "bridge bright broom bucket button cabin camera candle canvas carpet castle cedar cellar cherry circle clever clock cloud coat "
    "coffee copper corner cotton cradle curtain dancer desert dinner dolphin donkey drawer eager early elbow ember engine evening "
    "falcon feather fence ferry fiddle forest fountain freckle friend garden garlic gentle ginger glacier glove golden granite guitar "
    "hammer harbour harvest hazel helmet hollow honey island ivory jacket jigsaw journey juniper kettle kitchen ladder lantern lemon "
    "letter library lively lobster market marble meadow melody mirror morning mountain museum mustard narrow needle nimble noodle "
    "oatmeal olive orange orchard oyster paddle palace paper parrot pebble pencil pepper pigeon pillow planet pocket quarry quiet "
    "rabbit railway ribbon river rocket saddle sailor salmon scarf shadow shovel silver singer sleepy spider spoon spring steady "
    "street summer sunny teapot thistle thunder ticket timber tomato tower tractor tulip tunnel turtle umbrella valley velvet village "
    "violin walnut warm water whistle willow window winter wooden yellow yoghurt zebra"
).split()
_DEEP = 8
"""Nesting from which only what is required is filled in."""


def synthesise(request: Mapping[str, Any], words: int = 8, items: int = 2) -> Any:
    """What a model might answer to a chat request: an instance of its schema, or a sentence where it names none.

    Strings have `words` words and lists `items` items, as far as the schema allows.
    """
    wanted = request.get("response_format") or {}
    schema: Mapping[str, Any] = {"type": "string"}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]["schema"]
    elif wanted.get("type") == "json_object":
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return fill(schema, json.dumps(request, sort_keys=True), words, items)


def fill(schema: Mapping[str, Any], key: str, words: int = 8, items: int = 2) -> Any:
    """An instance of `schema`; `key` decides its words."""
    return _Filler(schema, blake2b(key.encode(), digest_size=16).hexdigest(), words, items).value(schema, "", 0)


class _Filler:
    def __init__(self, root: Mapping[str, Any], key: str, words: int, items: int) -> None:
        self.root, self.key, self.words, self.items = root, key, words, items

    def random(self, path: str) -> Random:
        return Random(f"{self.key}{path}")

    def value(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        schema = self.plain(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random(path).choice(schema["enum"])
        if options := schema.get("anyOf") or schema.get("oneOf"):
            ranked = sorted(options, key=lambda option: (option.get("type") == "null") != (depth > _DEEP))
            return self.value(ranked[0], path, depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        match kind:
            case "object":
                return self.object(schema, path, depth)
            case "array":
                return self.array(schema, path, depth)
            case "integer" | "number":
                return self.number(schema, path, kind)
            case "boolean":
                return self.random(path).random() < 0.5
            case "null":
                return None
            case _:
                return self.text(schema, path)

    def plain(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema without references and `allOf` at its top."""
        while "$ref" in schema or "allOf" in schema:
            rest = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
            parts = [dict(self.plain(part)) for part in schema.get("allOf", [])]
            if "$ref" in schema:
                target: Any = self.root
                for step in schema["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
                parts.append(target)
            schema = {name: value for part in [*parts, rest] for name, value in part.items()}
        return schema

    def object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        names = [name for name in properties if depth <= _DEEP or name in schema.get("required", [])]
        made = {name: self.value(properties[name], f"{path}/{name}", depth + 1) for name in names}
        _converse(made)
        return made

    def array(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 1_000_000)
        wanted = min(most, max(least, self.items if depth <= _DEEP else 0))
        if path.endswith("/messages"):
            wanted = min(most, max(2, wanted + wanted % 2))
        made = [self.value(part, f"{path}/{place}", depth + 1) for place, part in enumerate(schema.get("prefixItems", []))]
        candidates: Iterator[Any] = (self.value(schema["items"], f"{path}/{place}", depth + 1) for place in count(len(made)))
        tries = 0
        while "items" in schema and len(made) < wanted and tries < 1000:
            item, tries = next(candidates), tries + 1
            if not (schema.get("uniqueItems") and item in made):
                made.append(item)
        return made

    def number(self, schema: Mapping[str, Any], path: str, kind: str) -> int | float:
        step = 1 if kind == "integer" else 1e-6
        most = schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - step)
        low = schema.get("minimum", schema.get("exclusiveMinimum", min(0, most - 100) - step) + step)
        high = min(most, low + 100)
        random = self.random(path)
        return random.randint(int(low), int(high)) if kind == "integer" else random.uniform(low, high)

    def text(self, schema: Mapping[str, Any], path: str) -> str:
        if schema.get("format") in ("date", "date-time"):
            return "2026-03-14" if schema["format"] == "date" else "2026-03-14T09:30:00Z"
        random = self.random(path)
        text: str = " ".join(random.choices(_WORDS, k=self.words))
        least: int = schema.get("minLength", 0)
        most: int = schema.get("maxLength", 1_000_000)
        while len(text) < least:
            text += " " + random.choice(_WORDS)
        text = text[:most].rstrip().ljust(least, "s")
        pattern: str = schema.get("pattern", "")
        if not re.search(pattern, text):
            raise ValueError(f"no plain words fit {pattern!r} at {path}")
        return text


def _converse(made: dict[str, Any]) -> None:
    """Let turns alternate and quotes be quotes, where `made` is a conversation."""
    users: list[str] = []
    for turns in (made.get("messages"), made.get("exchanges")):
        for place, turn in enumerate(turns if isinstance(turns, list) else []):
            if isinstance(turn, dict) and {"role", "content"} <= turn.keys():
                turn["role"] = "assistant" if place % 2 else "user"
                users += [turn["content"]] if turn["role"] == "user" else []
            elif isinstance(turn, dict) and isinstance(turn.get("user"), str):
                users.append(turn["user"])
    quotes = made.get("quotes")
    if not users or not isinstance(quotes, list):
        return
    said = users[0].split(" ")
    each = max(1, len(said) // max(1, len(quotes)))
    for place, quote in enumerate(quotes):
        start = place * each % len(said)
        words = " ".join(said[start : start + each])
        if isinstance(quote, dict):
            quote.update({name: words for name in ("quote", "text") if name in quote})
        else:
            quotes[place] = words
