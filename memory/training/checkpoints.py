"""Checkpoints without a pickle: weights and moments as safetensors, everything else as JSON.

The trainer is told to save the model only, and this callback adds what it takes to go on: the state of the optimizer and of its schedule.
No state of random generators is kept, because every batch seeds them anew from the run's seed and its own number. `state.json` is written
last: a checkpoint without it was cut short, and is thrown away.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from store.folder import sync, write_json, writing

_MOMENTS, _STATE, _PICKLED_ARGUMENTS = "optimizer.safetensors", "state.json", "training_args.bin"


class SafeCheckpoints(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
    """Completes what the trainer saves, and restores it from `resumed`. Reports what the trainer logs to `say`."""

    def __init__(self, stage: str, resumed: Path | None, say: Callable[[str], None]) -> None:
        self._stage, self._resumed, self._say = stage, resumed, say

    def on_train_begin(self, *_: Any, **given: Any) -> None:
        """Restore the optimizer and the schedule."""
        if self._resumed is not None:
            load_state(self._resumed, given["optimizer"], given["lr_scheduler"])

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **given: Any) -> None:
        """Complete the checkpoint that was just written."""
        if not state.is_world_process_zero:
            return
        root = Path(args.output_dir)
        folder = root / f"checkpoint-{state.global_step}"
        (folder / _PICKLED_ARGUMENTS).unlink(missing_ok=True)
        for card in (root / "README.md", folder / "README.md"):  # TRL's, which knows nothing of what was trained here
            card.unlink(missing_ok=True)
        save_state(folder, given["optimizer"], given["lr_scheduler"])

    def on_log(self, _: TrainingArguments, state: TrainerState, *__: Any, logs: dict[str, Any], **___: Any) -> None:
        """Say how it goes."""
        if state.is_world_process_zero and "train_runtime" not in logs:
            told = "".join(f" \u00b7 {name} {float(logs[name]):.4g}" for name in ("loss", "answer_reward", "readable") if name in logs)
            self._say(f"{self._stage}: step {state.global_step} of {state.max_steps}{told}")


def save_state(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Add the state of both to the checkpoint in `folder`, and so finish it."""
    from safetensors.torch import save_file

    state = optimizer.state_dict()
    tensors = {f"{place}.{name}": value for place, values in state["state"].items() for name, value in values.items()}
    with writing(folder / _MOMENTS) as beside:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, beside)
    for path in folder.iterdir():
        sync(path)
    write_json(folder / _STATE, {"param_groups": state["param_groups"], "schedule": scheduler.state_dict()})


def load_state(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Restore what `save_state` saved."""
    from safetensors.torch import load_file

    kept = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    moments: dict[int, dict[str, Any]] = {}
    for name, value in load_file(folder / _MOMENTS).items():
        place, _, key = name.partition(".")
        moments.setdefault(int(place), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": kept["param_groups"]})
    scheduler.load_state_dict(kept["schedule"])


def last_checkpoint(root: Path, leader: bool) -> Path | None:
    """The last whole checkpoint in `root`; the `leader` among the processes throws away those that were cut short."""
    found: list[Path] = []
    for path in root.glob("checkpoint-*"):
        if (path / _STATE).is_file():
            found.append(path)
        elif leader:
            shutil.rmtree(path)
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
