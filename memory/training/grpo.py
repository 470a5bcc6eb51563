"""Group-relative policy optimization with TRL: of the memory, or of reading the whole history for comparison.

Which samples there are and what each is worth is decided in `rollout` and `samples`; `slots` hands it to TRL's trainer as rows. The
objective is the token mean of the clipped surrogate over the whole batch (DAPO, Yu et al. 2025), without division by a standard deviation
(Dr. GRPO, Liu et al. 2025).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from memory.training.generate import TrainerVllm, TransformersGenerate
from memory.training.models import ChatCodec, load_tokenizer
from memory.training.rollout import Generate, Rollout, play, play_without_memory, rounds_of
from memory.training.samples import Array, rewards_of, samples_of
from memory.training.slots import Layout, lay_out, most_samples, rows_of
from memory.training.stage import Work, adapters, arguments, carry_out, per_process, rank
from memory.training.visits import Visit, plan_visits
from schemas.ids import derive
from schemas.training import Grpo

StageName = Literal["memory_grpo", "long_context"]


def grpo(work: Work, wanted: Grpo, stage: StageName, base: str, folder: Path) -> None:
    """Train from the model in `base` on; what is left in `folder` see `memory.training.stage`."""
    carry_out(make_trainer(work, wanted, stage, base, folder), stage, folder, work.say)


def make_trainer(work: Work, wanted: Grpo, stage: StageName, base: str, folder: Path) -> Any:
    """TRL's trainer, ready to go."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # `rollout_func` is marked experimental; the bound on trl answers for it
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    config = work.config
    groups = per_process(config.rollout.users_per_step, "rollout.users_per_step")
    number = wanted.steps * config.rollout.users_per_step
    visits = plan_visits(work.sheets, number, config.rollout.questions, config.run.seed, work.open_share)
    limits = work.limits if stage == "memory_grpo" else None
    layout = lay_out(most_samples(visits, config.rollout.group, limits), groups, wanted.micro_batch, wanted.updates)
    tokenizer = load_tokenizer(base)
    rollouts = Rollouts(work, stage, visits, layout, rounds_of(visits, work.limits), tokenizer)
    args = GRPOConfig(
        **arguments(work, folder, wanted.micro_batch), **_generation(work),
        steps_per_generation=layout.micro_batches, gradient_accumulation_steps=layout.accumulation, num_generations=layout.slots,
        max_steps=wanted.steps * wanted.updates, save_steps=config.run.save_every * wanted.updates, shuffle_dataset=False,
        learning_rate=wanted.learning_rate, warmup_steps=wanted.warmup_steps, max_grad_norm=1.0,
        loss_type="dapo", scale_rewards="none", epsilon=wanted.clip_low, epsilon_high=wanted.clip_high, beta=wanted.kl,
        use_bias_correction_kl=True,
        temperature=config.rollout.temperature, max_completion_length=work.reply_tokens,
    )  # fmt: skip
    return GRPOTrainer(
        model=base, args=args, train_dataset=Dataset.from_dict({"prompt": [str(place) for place in range(number)]}),
        processing_class=tokenizer, rollout_func=rollouts, reward_funcs=rollouts.handed_back, peft_config=adapters(work),
    )  # fmt: skip


def _generation(work: Work) -> dict[str, Any]:
    generation = work.config.generation
    if generation.backend == "transformers":
        return {}
    return {
        "use_vllm": True, "vllm_mode": generation.backend.removeprefix("vllm_"), "vllm_server_base_url": generation.server_url,
        "vllm_gpu_memory_utilization": generation.gpu_share, "vllm_max_model_length": generation.context_tokens,
        # The default masks a whole reply for one ratio above its bound, and of 2,000 tokens some are.
        "vllm_importance_sampling_mode": "token_truncate",
    }  # fmt: skip


@dataclass
class Rollouts:
    """What TRL calls for a batch. Its prompts are places in `visits`, each repeated for all slots of its group."""

    work: Work
    stage: StageName
    visits: Sequence[Visit]
    layout: Layout
    rounds: int
    tokenizer: Any
    figures: dict[str, float] = field(default_factory=dict)

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        """The rows of all groups of this process."""
        import torch

        config = self.work.config
        torch.manual_seed(derive(config.run.seed, self.stage, rank(), trainer.state.global_step))
        visits = [self.visits[int(place)] for place in prompts[:: self.layout.slots]]
        player = self.work.player(self._generate(trainer), ChatCodec(self.tokenizer))
        if self.stage == "long_context" and config.long_context:
            groups = play_without_memory(visits, config.rollout.group, player, config.long_context.context_tokens)
        else:
            groups = play(visits, config.rollout.group, player, self.rounds)
        rewards = rewards_of(groups, self.work.open_answers.judge if self.work.open_answers else None)
        self.figures = figures_of(groups, rewards)
        samples = [samples_of(group, earned) for group, earned in zip(groups, rewards, strict=True)]
        return rows_of(samples, self.layout.slots, self.tokenizer.eos_token_id)

    def handed_back(self, advantage: list[float], log_metric: Any, **_: Any) -> list[float]:
        """The reward function: the advantages, as TRL is to take them over. What was really earned goes to the log."""
        for name, value in self.figures.items():
            log_metric(name, value)
        return advantage

    def _generate(self, trainer: Any) -> Generate:
        if trainer.args.use_vllm:
            return TrainerVllm(trainer)
        rollout = self.work.config.rollout
        model = trainer.accelerator.unwrap_model(trainer.model)
        return TransformersGenerate(model, self.tokenizer, self.work.reply_tokens, rollout.temperature)


def figures_of(groups: Sequence[Sequence[Rollout]], rewards: Sequence[Array]) -> dict[str, float]:
    """What a batch of rollouts earned and wrote, for the log."""
    rollouts = [rollout for group in groups for rollout in group]
    answers = [answer for rollout in rollouts for answer in rollout.answers]
    writes = [written for rollout in rollouts for written in (*rollout.writes, *rollout.branches)]
    earned = np.concatenate([one.ravel() for one in rewards])
    figures = {
        "answer_reward": float(np.nanmean(earned)) if (~np.isnan(earned)).any() else 0.0,
        "unscored": float(np.isnan(earned).mean()),
        "readable": float(np.mean([answer.task.open or answer.answer.chosen is not None for answer in answers])),
    }
    if writes:
        figures["write_penalty"] = float(np.mean([written.penalty for written in writes]))
        figures["memory_lines"] = float(np.mean([len(written.memory.lines) for written in writes]))
    return figures
