"""The training itself, with TRL on a tiny model: what reaches its trainer, its loss, its checkpoints."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from memory.training.grpo import Rollouts, make_trainer
from memory.training.rollout import Reply, Rollout, Tokens
from memory.training.run import sample_texts, train
from memory.training.samples import samples_of
from memory.training.slots import rows_of
from memory.training.stage import quiet
from schemas.errors import InputError, SubtextError
from schemas.training import Grpo
from tests.memory.training import reference_loss
from tests.memory.training.small import ANN, BOB, KILLED, config, visit, work
from tests.memory.training.test_samples import answered, written
from tests.runs import REPO

GRPO = Grpo(steps=3, learning_rate=1e-2, micro_batch=4)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than one when other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model."""
    from memory.training.models import make_tiny

    folder = tmp_path_factory.mktemp("models") / "base"
    with quiet():
        make_tiny(folder, sample_texts(work(folder, config(**KILLED))), 1)
    return folder


class Scripted(Rollouts):
    """Rollouts whose replies are written down beforehand; visits as given."""

    script: list[list[str]]

    def _generate(self, trainer: Any) -> Any:
        def reply(prompts: list[Tokens]) -> list[Reply]:
            said = self.script.pop(0)
            assert len(said) == len(prompts)
            end = self.tokenizer.eos_token_id
            return [Reply((*self.tokenizer(text, add_special_tokens=False)["input_ids"], end)) for text in said]

        return reply


LINE = "2025-01-01 s000 | x"
SCRIPT = [
    # the first chunk: Ann's two rollouts, one with a line that is none; Bob's two branches
    [LINE, f"{LINE}\nno line", LINE, LINE],
    [LINE, LINE, LINE, LINE],  # the second chunk: a branch and a write of each of Ann's
    [LINE, LINE],  # the third
    ["A", "B", "B", "A", "C", "nothing"],  # Ann right, wrong; wrong, right; Bob the leak, and what cannot be read
]
PAID = 0.05 / 8
"""One of eight writes of Ann's rollouts has a penalty of 0.05; all are compared with the mean."""
BY_HAND = [
    *(0.0 + PAID, -0.5 + PAID, -0.5 + PAID, 0.5 + PAID, 0.5, -0.5),  # writes, branch, answers
    *(0.0 - 0.05 + PAID, 0.5 + PAID, 0.5 + PAID, -0.5 + PAID, -0.5, 0.5),
    *(-0.125, -0.125, 0.125, 0.125),  # Bob: branch, answer; branch, answer. Rewards -0.5 and -0.25
]


def scored(base: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A trainer, and the scripted batch as it stands in it before it is cut into micro-batches."""
    small = work(folder, config(memory_grpo=GRPO.model_dump(), rollout={"group": 2, "questions": 2, "users_per_step": 2}))
    trainer = make_trainer(small, GRPO, "memory_grpo", str(base), folder)
    usual = trainer.rollout_func
    scripted = Scripted(small, "memory_grpo", [visit(ANN), visit(BOB)], usual.layout, usual.rounds, usual.tokenizer)
    scripted.script = [list(said) for said in SCRIPT]
    trainer.rollout_func = scripted
    rows = [{"prompt": str(place)} for place in (0, 1) for _ in range(usual.layout.slots)]
    return trainer, trainer._generate_and_score_completions(rows)


def test_the_advantages_in_the_trainer_are_those_by_hand(base: Path, tmp_path: Path) -> None:
    """Unequal numbers of writes, questions in mid-history, a write that pays: none of it is changed on the way."""
    with quiet():
        trainer, batch = scored(base, tmp_path)
    slots = trainer.num_generations
    trained = batch["tool_mask"][:, 0] == 1
    assert trained.tolist() == [True] * 12 + [False] * (slots - 12) + [True] * 4 + [False] * (slots - 4)
    assert batch["advantages"][trained].tolist() == pytest.approx(BY_HAND, abs=1e-6)
    tokens = (batch["completion_mask"] * batch["tool_mask"]).sum()
    assert batch["num_items_in_batch"] == tokens


def test_advantages_that_do_not_add_up_to_nothing_arrive_as_they_are(base: Path, tmp_path: Path) -> None:
    """One rollout wrote twice, the other three times (by hand in `test_samples`); the mean that TRL takes away must be 0 all the same."""
    group = [
        Rollout((written(), written()), (), (answered(1), answered(2))),
        Rollout((written(), written(), written()), (), (answered(1), answered(3))),
    ]
    samples = samples_of(group, np.array([[1.0, 0.0], [0.0, 0.5]]))
    assert sum(sample.advantage for sample in samples) == 0.25
    with quiet():
        trainer = make_trainer(work(tmp_path, config(memory_grpo=GRPO.model_dump())), GRPO, "memory_grpo", str(base), tmp_path)
        slots = trainer.num_generations
        trainer.rollout_func = lambda prompts, _: rows_of([samples] * 2, slots, 1)
        batch = trainer._generate_and_score_completions([{"prompt": "0"} for _ in range(2 * slots)])
    by_hand = [0.125, -0.25, 0.5, -0.25, -0.125, 0.25, 0.25, -0.5, 0.25]
    assert batch["advantages"][batch["tool_mask"][:, 0] == 1].tolist() == pytest.approx(by_hand * 2, abs=1e-6)


@pytest.mark.parametrize("off_policy", [False, True])
def test_the_trainers_loss_is_the_reference(base: Path, tmp_path: Path, off_policy: bool) -> None:
    """Off policy: with ratios beyond both ends of the clip, and a divergence from a reference."""
    with quiet():
        trainer, whole = scored(base, tmp_path)
    if off_policy:
        chance = torch.Generator().manual_seed(1)
        now = trainer._get_per_token_logps_and_entropies(
            trainer.model, torch.cat([whole["prompt_ids"], whole["completion_ids"]], 1),
            torch.cat([whole["prompt_mask"], whole["completion_mask"]], 1), whole["completion_ids"].shape[1],
        )[0].detach()  # fmt: skip
        whole["old_per_token_logps"] = now + 0.5 * torch.randn(now.shape, generator=chance)
        whole["ref_per_token_logps"] = now + 0.5 * torch.randn(now.shape, generator=chance)
        trainer.beta = 0.1
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    rows, size = len(whole["advantages"]), trainer.args.per_device_train_batch_size
    found = torch.zeros(())
    for start in range(0, rows, size):
        cut = {name: value[start : start + size] if value.dim() else value for name, value in whole.items()}
        found = found + trainer.compute_loss(trainer.model, cut)
    torch.autograd.backward(found)
    theirs = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}

    plain = load_plain(base)
    batch = reference_loss.Batch(
        whole["prompt_ids"], whole["prompt_mask"], whole["completion_ids"], whole["completion_mask"] * whole["tool_mask"],
        whole["completion_mask"], whole["advantages"], whole.get("old_per_token_logps"), whole.get("ref_per_token_logps"),
    )  # fmt: skip
    expected = reference_loss.loss(plain, batch, GRPO.clip_low, GRPO.clip_high, beta=0.1)
    torch.autograd.backward(expected)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert off_policy == (abs(expected.item()) > 1e-3)
    largest = max(float(weight.grad.abs().max()) for weight in plain.parameters() if weight.grad is not None)
    assert largest > 1e-2
    for name, weight in plain.named_parameters():
        assert torch.allclose(theirs[name], weight.grad, atol=1e-4 * largest), name


def load_plain(base: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype="float32")


ALL: dict[str, dict[str, Any]] = {
    "cold_start": {"users": 2, "learning_rate": 1e-2, "batch": 4, "micro_batch": 2},
    "memory_grpo": {"steps": 2, "learning_rate": 1e-2, "micro_batch": 4, "updates": 2, "kl": 0.01},
    "long_context": {"steps": 1, "learning_rate": 1e-2, "micro_batch": 4},
}


def files(folder: Path) -> set[str]:
    return {path.suffix for path in folder.rglob("*") if path.is_file()}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def moved(before: Path, after: Path) -> float:
    old, new = weights(before), weights(after)
    return max(float((old[name] - new[name]).abs().max()) for name in old)


def test_all_stages_move_the_weights_and_leave_no_pickle(base: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copytree(base, tmp_path / "run" / "base")
    said: list[str] = []
    small = work(tmp_path / "run", config(**ALL), said.append)
    done = train(small)
    assert {stage: figures["steps"] for stage, figures in done.items()} | {"cold_start": 0} == {
        "cold_start": 0, "memory_grpo": 4, "long_context": 1,
    }  # fmt: skip
    folder = small.folder
    assert moved(base, folder / "cold_start" / "model") > 1e-3
    assert moved(folder / "cold_start" / "model", folder / "memory_grpo" / "model") > 1e-3
    assert moved(base, folder / "long_context" / "model") > 1e-3
    assert files(folder) <= {".safetensors", ".json", ".jsonl", ".jinja"}
    assert str(tmp_path) not in "".join(path.read_text() for path in folder.rglob("*.json"))
    assert any("answer_reward" in line for line in said)
    before = len(said)
    assert train(small) == done
    assert len(said) == before, "a finished stage is not done again"
    with pytest.raises(InputError, match=r"run\.name"):
        train(work(tmp_path / "run", config(**ALL, memory={"tokens": 17, "chunk_tokens": 18})))


def test_adapters_are_trained_alone_and_merged(base: Path, tmp_path: Path) -> None:
    wanted = config(model={"base": str(base), "lora_rank": 2}, memory_grpo={"steps": 1, "learning_rate": 1e-1, "micro_batch": 4})
    train(work(tmp_path, wanted))
    assert weights(tmp_path / "memory_grpo" / "model").keys() == weights(base).keys()
    assert moved(base, tmp_path / "memory_grpo" / "model") > 1e-4
    old, new = weights(base), weights(tmp_path / "memory_grpo" / "model")
    assert torch.equal(old["model.embed_tokens.weight"], new["model.embed_tokens.weight"])


def test_nothing_to_learn_from_is_said(base: Path, tmp_path: Path) -> None:
    """With one token to a reply, no line can be read, and of letters only a lucky few: with the seed at hand, none."""
    wanted = config(
        model={"base": str(base)}, rollout={"group": 2, "questions": 1, "users_per_step": 1, "reply_tokens": 2, "temperature": 0.01},
        cold_start={"users": 1, "batch": 1},
    )  # fmt: skip
    with pytest.raises(SubtextError, match="nothing to learn from"):
        train(work(tmp_path, wanted))


def started(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.memory.training.small", str(folder)], cwd=REPO, text=True, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(base: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        shutil.copytree(base, folder / "base")
    process = started(cut)
    while not list((cut / "memory_grpo").glob("checkpoint-2/state.json")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert not (cut / "memory_grpo" / "finished.json").exists()
    for checkpoint in (cut / "memory_grpo").glob("checkpoint-*/state.json"):
        assert files(checkpoint.parent) <= {".safetensors", ".json", ".jinja"}
    half = cut / "memory_grpo" / "checkpoint-5"  # a checkpoint that was cut short is not gone on from
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"torn")

    said: list[str] = []
    done = train(work(cut, config(**KILLED), said.append))
    assert "going on from checkpoint-" in said[0]
    assert done == train(work(whole, config(**KILLED)))
    assert done["memory_grpo"]["steps"] == KILLED["memory_grpo"]["steps"]
    assert moved(whole / "memory_grpo" / "model", cut / "memory_grpo" / "model") == 0
