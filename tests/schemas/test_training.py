"""The config of a training: what is shipped can be read, and what is wrong is said in one line."""

from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.training import load_training
from tests.runs import REPO

CONFIGS = sorted((REPO / "configs" / "train").glob("*.yaml"))
GOOD = "kind: llm\nrun: {name: x}\nmodel: {base: tiny}\nmemory_grpo:\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_is_shipped_can_be_read(path: Path) -> None:
    assert load_training(path).run.name == path.stem


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("run: {name: x}", (), "kind: what is to be trained"),
        (GOOD.replace("llm", "lmm"), (), "Give one of llm (given: 'lmm')"),
        (GOOD, ("memory_grpo.step=3",), "memory_grpo.step: Extra inputs are not permitted"),
        (GOOD, ("rollout.group=1",), "rollout.group: Input should be greater than or equal to 2 (given: 1)"),
        (GOOD.replace("memory_grpo:\n", ""), (), "nothing to do"),
        (GOOD, ("generation.backend=vllm_server",), "server_url goes with backend vllm_server"),
        (GOOD, ("memory.tokens=5000",), "memory.tokens must be below memory.chunk_tokens"),
        (GOOD, ("seed=5",), "write it as section.key=value"),
        ("- a list", (), "a config is a mapping"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, settings: tuple[str, ...], message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_training(path, settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_stage_is_there_where_its_section_is(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD, encoding="utf-8")
    found = load_training(path, ["memory_grpo.clip_high=0.3"])
    assert found.memory_grpo is not None
    assert (found.memory_grpo.clip_low, found.memory_grpo.clip_high) == (0.2, 0.3)
    assert (found.cold_start, found.long_context) == (None, None)
