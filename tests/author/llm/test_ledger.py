"""The ledger: sums that can be checked by hand, and budgets that no order of requests can pass."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from author.llm.ledger import Ledger
from schemas.call import Call
from schemas.config import BudgetConfig, PriceConfig

FREE, PRICED = PriceConfig(), PriceConfig(prompt=2, cached=0.5, completion=10)


def a_call(prompt: str = "ask/item", **fields: object) -> Call:
    usual = {
        "call_id": "c", "record_id": "r", "prompt": prompt, "prompt_hash": "h", "repair": 0, "generation": 0, "model": "m", "endpoint": 0,
        "seed": 1, "attempts": 1, "faults": (), "prompt_tokens": 1000, "cached_tokens": 400, "completion_tokens": 200, "cost_usd": 0.0,
        "latency_ms": 1500, "finish_reason": "stop",
    }  # fmt: skip
    return Call.model_validate({**usual, **fields})


def test_cached_tokens_have_their_price() -> None:
    assert Ledger(PRICED, BudgetConfig()).price_of(1000, 400, 200) == pytest.approx((600 * 2 + 400 * 0.5 + 200 * 10) / 1e6)
    assert Ledger(PriceConfig(prompt=2), BudgetConfig()).price_of(1000, 400, 200) == pytest.approx(1000 * 2 / 1e6)
    assert Ledger(FREE, BudgetConfig()).price_of(1000, 400, 200) == 0


def test_it_adds_up_by_prompt_and_over_runs() -> None:
    ledger = Ledger(PRICED, BudgetConfig(), [a_call(cost_usd=0.25), a_call(faults=("429", "empty"), attempts=2, latency_ms=500)])
    ledger.enter(a_call(repair=1, faults=("empty",), latency_ms=2500, cost_usd=0.5), 4000)
    ledger.enter(a_call("expand/facts"), 4000)
    ledger.account("expand/facts").replayed += 3
    figures = ledger.figures()
    assert figures["tokens"] == {"prompt": 4000, "cached": 1600, "completion": 800}
    assert figures["cost_usd"] == 0.75
    item = figures["calls"]["ask/item"]
    assert [item[name] for name in ("calls", "retries", "repairs", "replayed")] == [3, 1, 1, 0]
    assert item["faults"] == {"429": 1, "empty": 2}
    assert (item["latency_p50_s"], item["latency_p95_s"]) == (1.5, 2.4)
    assert figures["calls"]["expand/facts"]["latency_p50_s"] == 1.5
    assert ledger.line() == "4 calls (1 retries, 1 repairs, 3 replayed), 4,800 tokens, $0.7500"


def test_a_new_ledger_has_nothing_to_say_and_can_say_it() -> None:
    ledger = Ledger(FREE, BudgetConfig())
    assert ledger.line() == "0 calls (0 retries, 0 repairs), 0 tokens"
    ledger.account("ask/item").replayed += 1
    assert ledger.figures()["calls"]["ask/item"]["latency_p95_s"] == 0


def test_the_first_guess_is_cautious_and_later_ones_learn() -> None:
    ledger = Ledger(FREE, BudgetConfig())
    assert ledger.estimate(10_000, 500) == 6500
    ledger.enter(a_call(prompt_tokens=1000), 4000)
    assert ledger.estimate(10_000, 500) == 3250
    ledger.enter(a_call(prompt_tokens=100), 4000)
    assert ledger.estimate(10_000, 500) == 3250, "the densest text so far decides"


def test_a_brake_that_waiting_may_ease_is_not_final() -> None:
    ledger = Ledger(FREE, BudgetConfig(tokens=10_000))
    assert ledger.reserve(6000) is None
    refused = ledger.reserve(6000)
    assert refused is not None
    assert not refused.final
    ledger.release(6000)
    ledger.enter(a_call(prompt_tokens=3000, completion_tokens=500), 0)
    assert ledger.reserve(6000) is None, "it cost less than it had reserved"
    ledger.release(6000)
    ledger.enter(a_call(prompt_tokens=5000, completion_tokens=500), 0)
    refused = ledger.reserve(2000)
    assert refused is not None
    assert refused.final
    assert refused.spent == "9,000 tokens spent of budget.tokens 10,000"


def test_earlier_runs_count_for_tokens_and_money() -> None:
    tokens = Ledger(FREE, BudgetConfig(tokens=2000), [a_call()])
    assert tokens.reserve(800) is None
    tokens.release(800)
    assert (brake := tokens.reserve(801)) is not None and brake.final
    money = Ledger(PRICED, BudgetConfig(usd=1), [a_call(cost_usd=0.9)])
    assert money.reserve(9_000) is None
    money.release(9_000)
    assert (brake := money.reserve(11_000)) is not None and brake.final
    assert brake.spent == "$0.9000 spent of budget.usd 1.0"


def test_money_is_reserved_at_the_dearest_price() -> None:
    ledger = Ledger(PriceConfig(prompt=1, cached=20, completion=1), BudgetConfig(usd=1))
    assert ledger.reserve(50_000) is None
    ledger.release(50_000)
    assert ledger.reserve(50_001) is not None


def test_a_run_whose_minutes_are_over_sends_nothing() -> None:
    ledger = Ledger(FREE, BudgetConfig(minutes=10))
    assert ledger.reserve(1) is None
    ledger.enter(a_call(latency_ms=11 * 60_000), 0)
    brake = ledger.reserve(1)
    assert brake is not None, "a reply may take as long as the longest so far"
    assert brake.final


@given(
    st.integers(500, 20_000),
    st.lists(st.tuples(st.booleans(), st.integers(1, 4000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=80),
)
def test_no_order_of_requests_passes_a_budget(limit: int, steps: list[tuple[bool, int, float, float, float]]) -> None:
    ledger = Ledger(PRICED, BudgetConfig(tokens=limit, usd=limit * 5 / 1e6))
    under_way: list[int] = []
    for sends, tokens, share, of_prompt, of_cached in steps:
        if sends or not under_way:
            brake = ledger.reserve(tokens)
            if brake is None:
                under_way.append(tokens)
            else:
                assert brake.final == (not under_way)
        else:
            reserved = under_way.pop()
            spent = int(reserved * share)
            prompt = int(spent * of_prompt)
            cached = int(prompt * of_cached)
            cost = ledger.price_of(prompt, cached, spent - prompt)
            ledger.enter(a_call(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=spent - prompt, cost_usd=cost), 0)
            ledger.release(reserved)
        assert ledger.tokens_spent <= limit
        assert ledger.cost_usd <= limit * 5 / 1e6 * (1 + 1e-9)
    for reserved in under_way:
        ledger.release(reserved)
    assert ledger.reserve(limit + 1) is not None


def test_the_terminal_may_look_while_prompts_are_added() -> None:
    ledger, ended = Ledger(FREE, BudgetConfig()), threading.Event()
    seen: list[str] = []

    def add() -> None:
        for number in range(20_000):
            ledger.account(f"prompt {number}").replayed += 1
        ended.set()

    adding = threading.Thread(target=add)
    adding.start()
    while not ended.is_set():
        seen.append(ledger.line())
    adding.join()
    assert ledger.line().startswith("0 calls (0 retries, 0 repairs, 20,000 replayed)")
