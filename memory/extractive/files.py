"""A trained extractive agent as files: numbers as safetensors, the rest as JSON. Nothing that is loaded can run."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from memory.extractive.agent import ExtractiveAgent
from memory.extractive.cues import Cues
from memory.extractive.desk import FEATURES, Desk
from memory.extractive.policy import Policy
from memory.extractive.reader import Reader
from memory.notes import TokenCount
from schemas.errors import InputError
from text.encoder import encoder_id

NUMBERS, REST = "model.safetensors", "model.json"


def save_agent(agent: ExtractiveAgent, folder: Path, **more: object) -> None:
    """Write the agent to `folder`; `more` is kept with it for people to read."""
    from safetensors.numpy import save_file

    reader, policy = agent.desk.reader, agent.policy
    tensors = {
        **reader.cues.tensors(), **{f"head_{name}": head for name, head in reader.heads.items()}, "reader": reader.weights,
        "policy": policy.weights, "centre": policy.centre, "spread": policy.spread,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / NUMBERS)
    rest = {"kind": "extractive", "encoder": encoder_id(), "features": FEATURES, "values": reader.cues.values, **more}
    (folder / REST).write_text(json.dumps(rest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_agent(folder: Path, count: TokenCount, budget: int) -> ExtractiveAgent:
    """The agent in `folder`; raises InputError where there is none that this release can read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        rest: dict[str, Any] = json.loads((folder / REST).read_text(encoding="utf-8"))
        tensors = load_file(folder / NUMBERS)
        known = rest["encoder"], tuple(rest["features"])
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no trained extractive agent; train one with: subtext train {folder.parent.parent}") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder} cannot be read as an extractive agent: {' '.join(str(error).split())}") from error
    if known != (encoder_id(), FEATURES):
        raise InputError(f"{folder} was trained with another encoder or release ({known[0]}); train it again")
    heads = {name.removeprefix("head_"): tensor for name, tensor in tensors.items() if name.startswith("head_")}
    reader = Reader(Cues.of(rest["values"], tensors), heads, tensors["reader"])
    policy = Policy(tensors["policy"], tensors["centre"], tensors["spread"])
    return ExtractiveAgent(Desk(reader, count), policy, budget)
