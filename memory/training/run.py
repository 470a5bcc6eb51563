"""A whole training: the stages that the config wants, one after the other, each skipped where it has already ended."""

import json
from typing import Any

from memory.chunks import Chunk
from memory.exam import asked
from memory.llm import answer_prompt, write_prompt
from memory.training.cold_start import cold_start
from memory.training.grpo import grpo
from memory.training.models import make_tiny
from memory.training.stage import Work, is_finished, processes, quiet, rank, steps_of
from schemas.config import without_folder
from schemas.errors import InputError
from schemas.ids import digest
from schemas.memory import Memory
from schemas.training import TINY
from store.folder import write_json


def train(work: Work) -> dict[str, Any]:
    """Carry out the training in its folder; a killed one goes on. Returns, by stage, the steps and the folder of the model.

    InputError where the folder belongs to a training with another config or other data.
    """
    with quiet():
        return _stages(work)


def _stages(work: Work) -> dict[str, Any]:
    _claim(work)
    config = work.config
    start = _start(work)
    done: dict[str, Any] = {}
    base = start
    if config.cold_start:
        folder = work.folder / "cold_start"
        if not is_finished(folder):
            cold_start(work, config.cold_start, base, folder)
        base = str(folder / "model")
        done["cold_start"] = {"steps": steps_of(folder), "folder": f"{config.run.name}/cold_start/model"}
    if config.memory_grpo:
        folder = work.folder / "memory_grpo"
        if not is_finished(folder):
            grpo(work, config.memory_grpo, "memory_grpo", base, folder)
        done["memory_grpo"] = {"steps": steps_of(folder), "folder": f"{config.run.name}/memory_grpo/model"}
    if config.long_context:
        folder = work.folder / "long_context"
        if not is_finished(folder):
            grpo(work, config.long_context, "long_context", start, folder)
        done["long_context"] = {"steps": steps_of(folder), "folder": f"{config.run.name}/long_context/model"}
    return done


def _claim(work: Work) -> None:
    """Write the config into a new folder; compare it in an old one."""
    path = work.folder / "training.json"
    settings = work.config.model_dump(mode="json")
    settings["model"]["base"] = without_folder(work.config.model.base)
    del settings["generation"]  # how the work is done: a training may go on with another
    data = digest(*(put.question.question_id for sheet in work.sheets for put in sheet.questions))
    mine = {"config": settings, "data": data}
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != mine:
            raise InputError(f"{work.folder} holds a training with other settings or data; give this one a name of its own (run.name)")
    elif rank() == 0:
        write_json(path, mine)


def _start(work: Work) -> str:
    """Where training starts: the config's model, or the tiny one, which is made here."""
    if work.config.model.base != TINY:
        return work.config.model.base
    folder = work.folder / "base"
    if not folder.is_dir():
        if processes() > 1:
            raise InputError("model.base: the tiny model is made by one process; give a folder, or train with one")
        make_tiny(folder, sample_texts(work), work.config.run.seed)
    return str(folder)


def sample_texts(work: Work) -> list[str]:
    """Text such as a model is shown in this training: of a few users, and what is asked of it."""
    sheets = work.sheets[:8]
    turns = [turn for sheet in sheets for turn in sheet.turns]
    prompts = write_prompt(Memory(), Chunk(tuple(turns[:1])), work.config.memory.tokens)
    for put in (put for sheet in sheets for put in sheet.questions[:1]):
        prompts += answer_prompt(Memory(), asked(put.question, 0))
    return [*(turn.message.content for turn in turns), *(message["content"] for message in prompts)]
