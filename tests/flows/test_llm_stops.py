"""Runs on a language model that are stopped, by a kill, a budget, Ctrl-C or a server that goes: nothing is paid for twice."""

import random
import signal
from pathlib import Path

import pytest

from tests.llm import journalled, root, run, said, started, wait_for, write_here
from tests.runs import hashes
from tests.servers.model import ScriptedModel
from tests.willing import willing


def kill_and_resume(tmp_path: Path, undisturbed: dict[str, str], kills: int) -> None:
    """Kill the run `kills` times with SIGKILL while calls are under way, then let it end."""
    chance, at_once = random.Random(kills), 6
    with ScriptedModel(reply=willing, base_s=0.05) as model:
        lost = 0
        for _ in range(kills):
            process = started(tmp_path, model, author={"max_concurrency": at_once})
            goal = model.calls + chance.randint(3, 90 // kills)
            wait_for(lambda goal=goal: model.calls >= goal, process)  # type: ignore[misc]
            process.kill()
            process.communicate()
            wait_for(lambda: model.in_flight == 0)
            before, lost = lost, model.calls - len(journalled(root(tmp_path)))
            assert lost - before <= at_once, "more was lost than can have been under way"
        done = run(tmp_path, model, author={"max_concurrency": at_once})
    assert done.returncode == 0, done.stderr
    kept = journalled(root(tmp_path))
    assert len({call["call_id"] for call in kept}) == len(kept) == len(model.bodies), "what was kept was never asked for again"
    assert 0 < model.repeats == model.calls - len(kept) == lost
    assert hashes(root(tmp_path) / "data") == undisturbed


def test_killed_it_asks_again_only_for_what_was_under_way(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    kill_and_resume(tmp_path, undisturbed, kills=3)


@pytest.mark.slow
def test_killed_ten_times_it_asks_again_only_for_what_was_under_way(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    kill_and_resume(tmp_path, undisturbed, kills=10)


PRICE = {"prompt": 1.0, "cached": 0.5, "completion": 4.0}


def cost(model: ScriptedModel) -> float:
    """Dollars for all that `model` wrote."""
    prompt, cached, completion = (model.tokens[kind] for kind in ("prompt", "cached", "completion"))
    return ((prompt - cached) * PRICE["prompt"] + cached * PRICE["cached"] + completion * PRICE["completion"]) / 1e6


@pytest.mark.parametrize(("brake", "limit"), [("tokens", 40_000), ("usd", 0.1), ("minutes", 0.0001)])
def test_a_budget_stops_the_run_before_it_is_passed(
    tmp_path: Path, model: ScriptedModel, undisturbed: dict[str, str], brake: str, limit: float
) -> None:
    done = run(tmp_path, model, author={"price": PRICE}, budget={brake: limit})
    assert done.returncode == 1
    line = said(done.stderr)
    assert f"budget.{brake} {limit:,}" in line and "run the same command again" in line
    spent = {"tokens": model.tokens["prompt"] + model.tokens["completion"], "usd": cost(model), "minutes": 0.0}[brake]
    assert spent <= limit
    assert spent > 0.8 * limit or brake == "minutes"
    assert len(journalled(root(tmp_path))) == model.calls
    assert not (root(tmp_path) / "data").exists()
    raised = write_here(tmp_path, model, author={"price": PRICE}, budget={brake: 1_000_000})
    assert model.repeats == 0
    assert hashes(raised.folder.data) == undisturbed
    assert raised.summary["cost_usd"] == pytest.approx(cost(model), abs=2e-6)


def test_a_budget_in_dollars_needs_a_price(tmp_path: Path, model: ScriptedModel) -> None:
    done = run(tmp_path, model, budget={"usd": 1.0})
    assert done.returncode == 2
    assert "author.price" in said(done.stderr)
    assert model.calls == 0


def test_ctrl_c_waits_for_what_is_under_way(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    with ScriptedModel(reply=willing, base_s=0.2) as model:
        process = started(tmp_path, model)
        wait_for(lambda: model.calls >= 12 and model.in_flight >= 2, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "run the same command again" in said(stderr)
        stopped_at = model.calls
        assert len(journalled(root(tmp_path))) == stopped_at, "every call that the server was given is kept"
        assert not (root(tmp_path) / "data").exists()
        folder = write_here(tmp_path, model).folder
        assert stopped_at < model.calls == len(model.bodies)
    assert hashes(folder.data) == undisturbed


def test_servers_go_and_come_back_while_the_run_goes_on(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    first, second = (ScriptedModel(reply=willing, base_s=0.05).start() for _ in range(2))
    process = started(tmp_path, first, second)
    try:
        wait_for(lambda: first.calls >= 5 and second.calls >= 5, process)
        first.close()
        met, other = first.calls, second.calls
        wait_for(lambda: second.calls >= other + 10, process)
        first.start()
        second.close()  # what is left can only be done by the one that was away
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
        first.close()
        second.close()
    assert process.returncode == 0, stderr
    assert first.calls > met
    assert "met: connection" in stdout
    kept = journalled(root(tmp_path))
    assert {call["endpoint"] for call in kept} == {0, 1}
    assert len({call["call_id"] for call in kept}) == len(kept) == len(first.bodies | second.bodies)
    assert hashes(root(tmp_path) / "data") == undisturbed
