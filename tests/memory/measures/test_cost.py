"""What an answer costs as more is asked, by hand."""

from memory.measures.cost import cost_results
from schemas.results import CostRow, Usage


def row(arm: str, writing: tuple[int, int], answering: tuple[int, int], usd: float | None = 1.0) -> CostRow:
    """Of ten users with forty answers each."""
    return CostRow(
        arm=arm, budget=None, users=10, questions=400, writing=Usage(read=writing[0], written=writing[1], calls=1, usd=usd),
        answering=Usage(read=answering[0], written=answering[1], calls=400, usd=2.0),
    )  # fmt: skip


WHOLE = row("full_context", (0, 0), (400_000, 4000))  # 1,010 tokens an answer
MEMORY = row("trained_memory", (18_000, 2000), (39_600, 400))  # 2,000 tokens a user, 100 an answer


def test_the_writing_is_shared_among_a_users_questions() -> None:
    whole, memory = cost_results([WHOLE, MEMORY])
    assert memory.tokens == {"1": 2100, "5": 500, "25": 180, "50": 140, "100": 120}
    assert set(whole.tokens.values()) == {1010}
    assert memory.usd == {"1": 0.105, "5": 0.025, "25": 0.009, "50": 0.007, "100": 0.006}


def test_from_where_on_a_memory_is_cheaper() -> None:
    def cheaper(*rows: CostRow) -> int | None:
        return cost_results(rows)[-1].cheaper_from

    assert cheaper(WHOLE, MEMORY) == 3  # 2,000 tokens are saved at 910 an answer: two questions are not enough
    assert cheaper(WHOLE, row("a", (18_200, 0), (40_000, 0))) == 3  # equal at two
    assert cheaper(WHOLE, row("a", (0, 0), (40_000, 0))) == 1
    assert cheaper(WHOLE, row("a", (0, 0), (404_000, 0))) is None
    assert cheaper(WHOLE) is None
    assert cheaper(MEMORY) is None


def test_what_has_no_price_has_no_dollars() -> None:
    assert cost_results([row("a", (1, 1), (1, 1), usd=None)])[0].usd is None
