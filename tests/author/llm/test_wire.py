"""The wire: every prompt's schema in the form that servers take, and replies read with nothing taken on trust."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from author.llm.wire import InvalidReply, read_reply, reply_schema
from prompts.catalogue import load_catalogue
from prompts.render import prompt_meta, prompt_names
from schemas.drafts import ChangesDraft, ConversationDraft, FactsDraft, ItemDraft, PersonaDraft, SessionDraft, TrapsDraft
from schemas.fact import FACT_KINDS
from schemas.judgements import Judgement, Ownership
from tests.prompts.samples import variables
from tests.servers.synth import fill

OF_PROMPT: dict[str, type[BaseModel]] = {
    "expand/persona": PersonaDraft, "expand/facts": FactsDraft, "expand/changes": ChangesDraft, "expand/traps": TrapsDraft,
    "ask/item": ItemDraft, "judge/stated": Judgement, "judge/options": Judgement, "judge/owner": Ownership,
}  # fmt: skip
OF_STAGE: dict[str, type[BaseModel]] = {"converse": SessionDraft, "distract": ConversationDraft}
DRAFTS = {name: draft for name in prompt_names() if (draft := OF_PROMPT.get(name) or OF_STAGE.get(name.split("/")[0]))}


def schema_of(name: str, text_limit: int | None = None) -> dict[str, Any]:
    return reply_schema(DRAFTS[name], prompt_meta(name), variables(name), text_limit)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within `schema`, properties by their schemas alone."""
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            for inner in value.values() if key in ("properties", "$defs") else [value]:
                yield from nodes(inner)
    elif isinstance(schema, list):
        for part in schema:
            yield from nodes(part)


def a_reply(name: str, **changed: Any) -> str:
    return json.dumps({**fill(schema_of(name), name), **changed})


def read(name: str, content: str) -> BaseModel:
    return read_reply(content, DRAFTS[name], prompt_meta(name), variables(name))


def problems(name: str, content: str) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(InvalidReply) as caught:
        read(name, content)
    return caught.value.fault, caught.value.problems


def test_every_prompt_of_the_stages_is_covered() -> None:
    assert {name for name in prompt_names() if not name.startswith(("judge/", "memory/"))} <= set(DRAFTS)


@pytest.mark.parametrize("name", DRAFTS)
def test_a_schema_binds_everything_and_says_nothing_else(name: str) -> None:
    for node in nodes(schema_of(name)):
        assert not {"title", "description", "default", "pattern"} & set(node)
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        assert "maxLength" not in node or name.startswith("judge/")


@pytest.mark.parametrize("name", DRAFTS)
def test_a_limit_holds_for_every_free_text(name: str) -> None:
    texts = [node for node in nodes(schema_of(name, text_limit=77)) if node.get("type") == "string"]
    assert texts
    assert all(node.get("maxLength") == 77 for node in texts if "enum" not in node and "const" not in node)
    assert not [node for node in texts if "enum" in node and "maxLength" in node], "a value is as long as it is"


@pytest.mark.parametrize("name", DRAFTS)
def test_what_fits_the_schema_can_be_read(name: str) -> None:
    made = read(name, a_reply(name))
    assert isinstance(made, DRAFTS[name])


def test_choices_and_counts_are_in_the_schema() -> None:
    facts = schema_of("expand/facts")
    assert (facts["properties"]["facts"]["minItems"], facts["properties"]["facts"]["maxItems"]) == (7, 7)
    properties = facts["$defs"]["FactDraft"]["properties"]
    assert properties["attribute"]["enum"] == sorted(load_catalogue())
    assert sorted(properties["kind"]["enum"]) == sorted(FACT_KINDS)
    assert "bank_id" not in properties
    traps = schema_of("expand/traps")["properties"]
    assert [traps[name]["minItems"] for name in ("contrary", "other", "names")] == [1, 3, 5], "lists and numbers both say how many"


def test_the_schema_of_the_draft_itself_is_untouched() -> None:
    before = json.dumps(FactsDraft.model_json_schema())
    schema_of("expand/facts", 50)
    assert json.dumps(FactsDraft.model_json_schema()) == before


def test_an_attribute_that_is_not_in_the_catalogue_is_named() -> None:
    reply = json.loads(a_reply("expand/facts"))
    reply["facts"][3]["attribute"] = "shoe_size_of_the_moon"
    fault, [said] = problems("expand/facts", json.dumps(reply))
    assert fault == "wrong_schema"
    assert said.startswith("attribute: 'shoe_size_of_the_moon' is not one of ")
    assert said.endswith(" …")
    reply["facts"][3]["attribute"] = "x" * 5000
    assert len(problems("expand/facts", json.dumps(reply))[1][0]) < 500


@pytest.mark.parametrize("count", [0, 6, 8])
def test_a_wrong_count_says_how_many_are_wanted(count: int) -> None:
    reply = json.loads(a_reply("expand/facts"))
    reply["facts"] = (reply["facts"] * 2)[:count]
    assert problems("expand/facts", json.dumps(reply)) == ("wrong_schema", (f"facts: 7 wanted, there are {count}",))


def test_a_wrong_shape_says_where() -> None:
    fault, said = problems("expand/persona", a_reply("expand/persona", age="old", traits=[]))
    assert fault == "wrong_schema"
    assert {one.partition(":")[0] for one in said} == {"age", "traits"}
    session = json.loads(a_reply("converse/evidence"))
    del session["exchanges"][0]["assistant"]
    assert any(one.startswith("exchanges.0.assistant: ") for one in problems("converse/evidence", json.dumps(session))[1])


def test_a_field_that_nobody_asked_for_is_refused() -> None:
    fault, [said] = problems("expand/persona", a_reply("expand/persona", mood="fine"))
    assert fault == "wrong_schema"
    assert said.startswith("mood: ")


def test_a_quote_that_is_none_is_quoted_back() -> None:
    fault, [said] = problems("converse/evidence", a_reply("converse/evidence", quotes=["never said this"]))
    assert fault == "wrong_schema"
    assert "'never said this'" in said


@pytest.mark.parametrize("content", ["", "Sure! Here it is:", '{"name": "Ines"', "```json\n{}\n```", "[" * 100_000, '{"name": "\\ud800"}'])
def test_what_is_no_json_is_called_so(content: str) -> None:
    fault, [said] = problems("expand/persona", content)
    assert fault == "invalid_json"
    assert said.startswith("reply: Invalid JSON")


@pytest.mark.parametrize("content", ["null", "[]", "7", '"text"', "{}"])
def test_other_json_is_the_wrong_shape(content: str) -> None:
    assert problems("expand/persona", content)[0] == "wrong_schema"


def test_of_many_problems_a_few_are_said() -> None:
    assert len(problems("expand/persona", "{}")[1]) == 6


def test_an_owner_is_one_of_three() -> None:
    assert problems("judge/owner", a_reply("judge/owner", owner="everybody"))[0] == "wrong_schema"
