"""Training a language model as memory agent: from a finished dataset and a config to `agent/training/<name>/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory.read_exam import exam_tokens, read_exam
from memory.replay import Limits
from schemas.errors import SubtextError
from schemas.training import LlmTraining


def train_llm(root: Path, config: LlmTraining, say: Callable[[str], None]) -> dict[str, Any]:
    """Train on the train split of the dataset in `root`; a training that was killed goes on. Returns what was done, by stage.

    InputError where there is no finished dataset or not that history; SubtextError where the packages for training are not installed.
    """
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise SubtextError(f"training needs more packages ({error.name} is missing): pip install -e '.[train]'") from error
    from memory.training.run import train
    from memory.training.stage import Work

    folder = root / "agent" / "training" / config.run.name
    limits = Limits(config.memory.tokens, exam_tokens().count, config.memory.chunk_tokens)
    return train(Work(config, read_exam(root, "train", config.run.history).sheets, folder, limits, say))
