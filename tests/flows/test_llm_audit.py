"""The audit with a judge: what a model guesses without a history is asked of what is about to be published, once, and can refuse it."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from flows.audit import audit_run, refusal
from flows.cli import main
from flows.run import Start, make_run
from schemas.config import Config
from schemas.question import Question
from schemas.seed import Seed
from store.folder import open_run
from store.parts import read_part
from tests.llm import content_hash, fields, journalled
from tests.runs import run_here
from tests.servers.http import Reply
from tests.servers.model import ScriptedModel
from tests.validators.audit.dataset import SECTIONS, clean, spoil, store
from tests.willing import willing

Shares = tuple[float, ...]
Guess = Callable[[str], Shares | None]
"""From the words of a request to the letters' shares; None: a reply that is no letter."""
EVEN = (0.25, 0.25, 0.25, 0.25)
ASKED = len(clean().splits["test"].questions)


def letter(shares: Shares | None) -> Reply:
    """One letter, with probabilities."""
    tokens = {"The": 1.0} if shares is None else dict(zip("ABCD", shares, strict=False))
    top = [{"token": token, "logprob": math.log(share), "bytes": None} for token, share in tokens.items()]
    choice = {
        "index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "A"},
        "logprobs": {"content": [{"token": "A", "logprob": -1.0, "bytes": None, "top_logprobs": top}]},
    }  # fmt: skip
    return Reply.json({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})


def reader(profile: Guess) -> Callable[[dict[str, Any]], Reply]:
    """A model that knows nothing of a user but by their profile."""

    def reply(request: dict[str, Any]) -> Reply:
        system, asked = (message["content"] for message in request["messages"])
        return letter(profile(asked) if "is their profile" in system else EVEN)

    return reply


def always_right(asked: str) -> Shares:
    """Finds gold by who asks, and in which order the options stand."""
    for persona in clean().splits["test"].personas:
        if persona.profile_text in asked:
            for question in clean().splits["test"].questions:
                if question.persona_id == persona.persona_id and all(one in asked for one in (question.text, *lines(question))):
                    return tuple(0.7 if place == question.gold_index else 0.1 for place in range(4))
    raise AssertionError("asked of what is not in the test split, or without the profile")


def lines(question: Question) -> list[str]:
    """The options as a reader sees them."""
    return [f"{name}. {option.text}" for name, option in zip("ABCD", question.options, strict=True)]


def audited(out: Path, model: ScriptedModel) -> tuple[dict[str, Any], str | None]:
    """What the audit of a run finds that is about to publish the clean dataset, and why it may not."""
    config = Config.model_validate({**fields(model, judge={"votes": 1}, audit={"gate": "block"}), **SECTIONS})
    with open_run(out, config) as folder, make_run(config, folder) as run:
        data = store(clean(), folder.root / ".made") / "data"
        found = audit_run(run, data)
        return found, refusal(run, found)


def test_what_can_be_guessed_from_the_profile_is_refused(tmp_path: Path) -> None:
    with ScriptedModel(reply=reader(always_right)) as model:
        found, why = audited(tmp_path, model)
        blind, profile = found["figures"]["blind_judge"], found["figures"]["profile_judge"]
        assert (blind["value"], blind["verdict"], blind["n"], blind["users"]) == (0.25, "ok", ASKED, 12)
        assert (profile["value"], profile["verdict"], profile["n"]) == (1.0, "broken", ASKED)
        assert why is not None and "broken figures: profile_judge is 100.0 %, limit ≤ 33 % (" in why
        assert found["guesses"]["profile_judge"]["by"] == "openai-scripted"
        assert set(found["guesses"]["blind_judge"]["earned"].values()) == {0.25}, "four equal letters share the answer"
        assert model.calls == 2 * ASKED
        profiles = [persona.profile_text for persona in clean().personas]
        unread = [request for request in model.requests if not any(text in request["messages"][1]["content"] for text in profiles)]
        assert len(unread) == ASKED, "half of them are blind"
        assert audited(tmp_path, model) == (found, why)
        assert model.calls == 2 * ASKED, "the journal answers"


def test_a_reader_who_sees_no_difference_passes_and_one_who_cannot_be_read_does_not(tmp_path: Path) -> None:
    with ScriptedModel(reply=reader(lambda _: EVEN)) as model:
        found, why = audited(tmp_path / "even", model)
        assert why is None and found["figures"]["profile_judge"]["value"] == 0.25
    with ScriptedModel(reply=reader(lambda asked: None if content_hash(asked) % 2 else EVEN)) as model:
        found, why = audited(tmp_path / "mute", model)
        earned = Counter(found["guesses"]["profile_judge"]["earned"].values())
        assert set(earned) == {None, 0.25}
        assert found["figures"]["profile_judge"]["value"] == pytest.approx((earned[None] + 0.25 * earned[0.25]) / ASKED, abs=1e-4)
        assert why is not None and "profile_judge" in why


def test_an_audit_without_a_model_keeps_the_guesses_on_the_same_tables(tmp_path: Path) -> None:
    with ScriptedModel(reply=reader(always_right)) as model:
        before, _ = audited(tmp_path, model)
    root = tmp_path / "tiny" / "0.1.0" / ".made"
    (root / "audit.json").write_text(json.dumps(before), encoding="utf-8")
    assert command(root) == before, "to the last digit"
    store(spoil(clean(), "personas", lambda row: row.model_copy(update={"household": "alone"}), "train"), root)
    after = command(root)
    assert after["guesses"] == {} and (after["figures"]["profile_judge"]["value"], after["figures"]["profile_judge"]["n"]) == (None, 0)
    assert after["figures"]["profile_judge"]["verdict"] == "insufficient" and after["passed"]


def command(root: Path) -> dict[str, Any]:
    """What `subtext audit` writes."""
    CliRunner().invoke(main, ["audit", str(root)])
    found: dict[str, Any] = json.loads((root / "audit.json").read_text(encoding="utf-8"))
    return found


def writer(request: dict[str, Any]) -> Any:
    """A model that writes, judges in favour, guesses evenly, and gives every person one of four values of an attribute."""
    name = request.get("response_format", {}).get("json_schema", {}).get("name", "")
    if not name:
        return letter(EVEN)
    if name == "judge_owner":
        return {"reason": "", "owner": "user"}
    if name == "judge_inferable":  # the value is the only one that is not the bank's
        options = re.findall(r"^([A-D])\. (.*)$", request["messages"][1]["content"], re.MULTILINE)
        return {"letter": next(letter for letter, value in options if " of sort " in value)}
    if name.startswith("judge_"):
        return {"reason": "", "passed": True}
    made = willing(request)
    if name == "expand_facts":
        sort = "abcd"[content_hash(request["messages"][1]["content"]) % 4]
        for fact in made["facts"]:
            fact["value"] = f"{fact['attribute'].replace('_', ' ')} of sort {sort}"
    return made


def test_a_run_with_a_judge_asks_what_it_publishes_and_pays_for_it_once(tmp_path: Path) -> None:
    people = {"builtin_count": 10, "splits_from": str(tmp_path / "splits.parquet")}
    sections: dict[str, Any] = {
        "expand": {"facts_per_persona": 6, "updates": 0, "forgets": 0}, "converse": {"sessions_per_fact": [1, 1]},
        "distract": {"noise": dict.fromkeys(("hypothetical", "fiction", "quoted", "near_miss", "assistant_only"), 0)},
        "judge": {"votes": 1}, "seeds": people,
    }  # fmt: skip
    with ScriptedModel(reply=writer) as model:
        drawn = run_here(Config.model_validate(fields(model, seeds={"builtin_count": 10})), tmp_path / "drawn", "seeds").folder
        names = [Start(seed, 0).persona_id for seed in read_part(drawn, "seeds", 0, Seed)]
        pq.write_table(pa.table({"persona_id": names, "split": ["test"] * len(names)}), tmp_path / "splits.parquet")
        config = Config.model_validate(fields(model, **sections))
        outcome = run_here(config, tmp_path / "output")
        root, calls = outcome.folder.root, model.calls
        found = json.loads((root / "audit.json").read_text(encoding="utf-8"))
        asked = outcome.summary["stages"]["ask"]["records"]["question"]["kept"]
        assert asked and found["figures"]["profile_judge"]["n"] == found["figures"]["blind_judge"]["n"] == asked
        assert outcome.summary["calls"]["judge/profile"]["calls"] > asked, "the items were judged too"
        assert asked <= outcome.summary["calls"]["judge/solve"]["calls"] <= 3 * asked
        assert sum(account["calls"] for account in outcome.summary["calls"].values()) == calls == len(journalled(root))
        assert command(root)["guesses"] == found["guesses"]
        (root / "catalog.duckdb").unlink()
        assert run_here(config, tmp_path / "output").published
        assert model.calls == calls
