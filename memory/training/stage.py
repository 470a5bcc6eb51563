"""What the stages of a training share: what they are given, what is trained, and the folder that each leaves.

A stage's folder has checkpoints while it runs, then `model/` (weights as safetensors, adapters merged) and, written last, `finished.json`.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory.exam import Sheet
from memory.llm import most_tokens
from memory.replay import Limits
from memory.training.checkpoints import SafeCheckpoints, last_checkpoint
from memory.training.rollout import Codec, Generate, Player
from memory.training.samples import OpenAnswers
from schemas.errors import InputError
from schemas.training import LlmTraining
from store.folder import write_json


@dataclass(frozen=True)
class Work:
    """A training: of whom, on what, and where it is kept."""

    config: LlmTraining
    sheets: Sequence[Sheet]
    folder: Path
    limits: Limits
    say: Callable[[str], None]
    open_answers: OpenAnswers | None = None

    def player(self, generate: Generate, codec: Codec) -> Player:
        """A model in play."""
        return Player(generate, codec, self.limits)

    @property
    def reply_tokens(self) -> int:
        """The longest reply that is sampled: what a write may take where the agent is used, unless the config says otherwise."""
        return self.config.rollout.reply_tokens or most_tokens(self.config.memory.tokens)

    @property
    def open_share(self) -> float:
        """How many of the questions are put without options."""
        return self.open_answers.share if self.open_answers else 0.0


def processes() -> int:
    """How many processes train together: `torchrun` and `accelerate launch` say so."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of the processes this is."""
    return int(os.environ.get("RANK", "0"))


def per_process(number: int, key: str) -> int:
    """The share of one process. InputError where there is no equal share."""
    if number % processes():
        raise InputError(f"{key} is {number}, which {processes()} processes cannot share equally")
    return number // processes()


def is_finished(folder: Path) -> bool:
    """Whether the stage of this folder has ended."""
    return (folder / "finished.json").is_file()


def arguments(work: Work, folder: Path, micro_batch: int) -> dict[str, Any]:
    """What all trainers are told."""
    import torch

    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder), "per_device_train_batch_size": micro_batch, "seed": work.config.run.seed, "save_only_model": True,
        "save_strategy": "steps", "save_total_limit": 2, "logging_steps": 1, "logging_strategy": "steps", "report_to": [],
        "disable_tqdm": True, "lr_scheduler_type": "constant_with_warmup", "use_cpu": not on_gpu, "bf16": on_gpu,
        _checkpointing(): on_gpu, "dataloader_pin_memory": on_gpu,
        # With adapters the frozen weights are only read; trained in bfloat16, steps of 1e-6 would be rounded away.
        "model_init_kwargs": {"dtype": "bfloat16" if on_gpu and work.config.model.lora_rank else "float32"},
    }  # fmt: skip


def _checkpointing() -> str:
    """What recomputing activations is called; transformers 5.2x has given it another name."""
    from transformers import TrainingArguments

    new = "activation_checkpointing"
    return new if new in TrainingArguments.__dataclass_fields__ else "gradient_checkpointing"


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of the libraries, and their warnings of what they themselves do."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def adapters(work: Work) -> Any:
    """What is trained: adapters, or (None) all weights."""
    if work.config.model.lora_rank is None:
        return None
    from peft import LoraConfig

    rank_wanted = work.config.model.lora_rank
    return LoraConfig(r=rank_wanted, lora_alpha=2 * rank_wanted, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")


def carry_out(trainer: Any, stage: str, folder: Path, say: Callable[[str], None]) -> None:
    """Train from the last checkpoint on, and leave the model and the log in `folder`."""
    from transformers.trainer_callback import PrinterCallback

    leader = trainer.is_world_process_zero()
    checkpoint = last_checkpoint(folder, leader)
    trainer.accelerator.wait_for_everyone()
    if checkpoint:
        say(f"{stage}: going on from {checkpoint.name}")
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(SafeCheckpoints(stage, checkpoint, say))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if leader:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        beside = folder / ".model.tmp"
        shutil.rmtree(beside, ignore_errors=True)
        model.save_pretrained(beside)
        trainer.processing_class.save_pretrained(beside)
        shutil.rmtree(folder / "model", ignore_errors=True)
        beside.rename(folder / "model")
        for path in folder.glob("checkpoint-*"):
            shutil.rmtree(path)
        write_json(folder / "finished.json", {"steps": trainer.state.global_step, "log": trainer.state.log_history})
        say(f"{stage}: done, {trainer.state.global_step} steps")
    trainer.accelerator.wait_for_everyone()


def steps_of(folder: Path) -> int:
    """Optimizer steps of a finished stage."""
    return int(json.loads((folder / "finished.json").read_text(encoding="utf-8"))["steps"])
