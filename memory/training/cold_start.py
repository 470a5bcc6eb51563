"""The cold start: the model's own best rollouts, from which it is taught before reinforcement learning begins.

Of a group of rollouts of one user the one with the best mean reward is kept, if it is above the group's mean (rejection sampling); all its
turns, writes and answers, become examples. So writing a memory is demonstrated at all, which training on gold answers never does.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memory.training.generate import TransformersGenerate, VllmGenerate
from memory.training.models import ChatCodec, load_model, load_tokenizer
from memory.training.rollout import Generate, Rollout, play, rounds_of
from memory.training.samples import Array, rewards_of
from memory.training.stage import Work, adapters, arguments, carry_out, per_process, processes, rank
from memory.training.visits import Visit, plan_visits
from schemas.errors import InputError, SubtextError
from schemas.ids import derive
from schemas.training import ColdStart
from store.folder import disk_errors

Example = dict[str, list[int]]
"""`prompt` and `completion` of one turn, in tokens."""


def best_of(group: Sequence[Rollout], rewards: Array) -> Rollout | None:
    """The rollout to learn from; None where none is better than the rest. `rewards`: shape (rollouts, questions), nan counts for nobody."""
    known = ~np.isnan(rewards)
    means = np.array([row[there].mean() if there.any() else -np.inf for row, there in zip(rewards, known, strict=True)])
    best = int(means.argmax())
    return group[best] if np.isfinite(means[best]) and means[best] > means[np.isfinite(means)].mean() + 1e-9 else None


def cold_start(work: Work, wanted: ColdStart, base: str, folder: Path) -> None:
    """Sample, keep the best, train on it. What was sampled before a kill is kept."""
    from accelerate import PartialState
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    accumulation = per_process(wanted.batch, "cold_start.batch") // wanted.micro_batch
    if accumulation * wanted.micro_batch * processes() != wanted.batch:
        raise InputError("cold_start.batch must be a multiple of cold_start.micro_batch times the processes")
    _sample(work, wanted, base, folder)
    PartialState().wait_for_everyone()
    examples = [example for number in range(processes()) for found in _kept(_file(folder, number)) for example in found]
    if not examples:
        raise SubtextError(
            "cold_start: no rollout did better than the others of its group, so there is nothing to learn from; give more users, a larger "
            "rollout.group or more rollout.questions, or a model that can follow the prompts"
        )
    work.say(f"cold_start: {len(examples)} turns to learn from")
    rows = {
        "input_ids": [example["prompt"] + example["completion"] for example in examples],
        "completion_mask": [[0] * len(example["prompt"]) + [1] * len(example["completion"]) for example in examples],
    }
    args = SFTConfig(
        **arguments(work, folder, wanted.micro_batch), gradient_accumulation_steps=accumulation, num_train_epochs=wanted.epochs,
        learning_rate=wanted.learning_rate, save_steps=work.config.run.save_every, completion_only_loss=True, max_length=None,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=base, args=args, train_dataset=Dataset.from_dict(rows), processing_class=load_tokenizer(base), peft_config=adapters(work)
    )
    carry_out(trainer, "cold_start", folder, work.say)


def _sample(work: Work, wanted: ColdStart, base: str, folder: Path) -> None:
    """Add to this process's file what its users' rollouts are still missing in it."""
    import torch

    config = work.config
    users = min(wanted.users, len(work.sheets))
    visits = plan_visits(work.sheets, users, config.rollout.questions, config.run.seed, work.open_share)[rank() :: processes()]
    at_once = per_process(config.rollout.users_per_step, "rollout.users_per_step")
    path = _file(folder, rank())
    done = len(list(_kept(path)))
    if done >= len(visits):
        return
    tokenizer = load_tokenizer(base)
    player = work.player(_generate(work, base, tokenizer), ChatCodec(tokenizer))
    for start in range(done, len(visits), at_once):
        torch.manual_seed(derive(config.run.seed, "cold_start", rank(), start))
        batch: list[Visit] = visits[start : start + at_once]
        groups = play(batch, config.rollout.group, player, rounds_of(batch, work.limits))
        rewards = rewards_of(groups, work.open_answers.judge if work.open_answers else None)
        best = [best_of(group, earned) for group, earned in zip(groups, rewards, strict=True)]
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(_examples(rollout)) + "\n" for rollout in best)
        mean = float(np.nanmean(np.concatenate([earned.ravel() for earned in rewards])))
        work.say(f"cold_start: {start + len(batch)} of {len(visits)} users sampled \u00b7 mean reward {mean:.3f}")


def _generate(work: Work, base: str, tokenizer: Any) -> Generate:
    rollout = work.config.rollout
    if work.config.generation.backend == "transformers":
        return TransformersGenerate(load_model(base, "float32"), tokenizer, work.reply_tokens, rollout.temperature)
    return VllmGenerate(base, work.reply_tokens, rollout.temperature, work.config.generation.context_tokens)


def _examples(rollout: Rollout | None) -> list[Example]:
    turns = rollout.turns if rollout else ()
    return [{"prompt": list(turn.prompt), "completion": list(turn.reply.tokens)} for turn in turns]


def _file(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"rollouts-{number}-of-{processes()}.jsonl"


def _kept(path: Path) -> Iterator[list[Example]]:
    """What is in the file, by user; a last line that was cut short goes."""
    if not path.is_file():
        return
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        path.write_bytes(whole)
    for line in whole.splitlines():
        yield json.loads(line)
