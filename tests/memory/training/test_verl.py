"""What is exported to verl, read and played again."""

import ast
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from memory.training.verl import export, play_one
from tests.memory.training.small import ANN, BOB, LIMITS, Script, player, visit


def test_an_exported_visit_is_played_as_it_was_planned(tmp_path: Path) -> None:
    export([visit(ANN, 1), visit(BOB)], LIMITS, tmp_path)
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == [0, 1]
    assert all(set(row) >= {"data_source", "prompt", "reward_model", "extra_info", "agent_name"} for row in rows)
    line = "2025-01-01 s000 | x"
    script = Script([line], [line] * 2, [line], ["D", "A"])  # in rotation 1 the right option comes last
    turns, reward = play_one(rows[0]["extra_info"]["visit"], player(script))
    assert len(turns) == 3 + 1 + 2
    assert reward == pytest.approx(0.5)
    assert script.asked[-1][0].count("option 1 stale") == 1


def test_the_agent_loop_is_python_and_names_what_there_is(tmp_path: Path) -> None:
    export([visit(BOB)], LIMITS, tmp_path)
    tree = ast.parse((tmp_path / "agent_loop.py").read_text(encoding="utf-8"))
    ours = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("memory.", "text."))]
    assert len(ours) == 5
    for node in ours:
        module = __import__(node.module or "", fromlist=["x"])
        assert all(hasattr(module, alias.name) for alias in node.names)
    assert (tmp_path / "agent_loop.yaml").read_text().startswith("- name: subtext_memory")
