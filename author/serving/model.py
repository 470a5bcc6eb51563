"""What a model weighs, before anybody loads it: from a folder, from the Hub's cache, or, where it can be reached, from the Hub.

Sizes come from file sizes alone. They are what vLLM loads unless the weights are float32, which it halves on a GPU.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_CONTEXT = 16_384
"""Tokens that the longest of this pipeline's requests may need, prompt and reply."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a model needs on a GPU, in bytes."""

    weights: int
    context: int
    """Key-value cache of one longest request."""


def folder_of(model: str) -> Path | None:
    """The folder that `model` names, None for a name on the Hub. Raises InputError when it is a path to nothing, or to no model."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{model} holds no model: it has no config.json")
        return path.resolve()
    if path.exists() or not _HUB_NAME.fullmatch(model) or model.startswith((".", "-")):
        raise InputError(f"{model}: no such folder, and no name of a model on the Hub (owner/model) either")
    return None


def size_of(model: str) -> Size | None:
    """What `model` needs; None where that cannot be known from here."""
    folder = folder_of(model) or _cached(model)
    return size_of_folder(folder) if folder is not None else _size_on_hub(model)


def size_of_folder(folder: Path) -> Size | None:
    """What the model in `folder` needs; None where it holds no weights that we know."""
    config = _json(folder / "config.json")
    index = _json(folder / "model.safetensors.index.json")
    weights = index.get("metadata", {}).get("total_size") if index else None
    if not weights:
        files = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
        weights = sum(path.stat().st_size for path in files)
    return Size(_on_gpu(int(weights), config), _context(config, int(weights))) if weights else None


def _cached(model: str) -> Path | None:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(model, local_files_only=True))
    except (OSError, ValueError):
        return None


def _size_on_hub(model: str) -> Size | None:
    import huggingface_hub

    try:
        files = huggingface_hub.HfApi().model_info(model, files_metadata=True, timeout=10).siblings or []
    except Exception:  # no network, no such model, no right to it: whatever it is, vLLM will say it better
        return None
    weights = sum(file.size or 0 for file in files if file.rfilename.endswith(".safetensors") and "/" not in file.rfilename)
    return Size(weights, _context({}, weights)) if weights else None


def _on_gpu(weights: int, config: dict[str, Any]) -> int:
    return weights // 2 if "float32" in (config.get("dtype"), config.get("torch_dtype")) else weights


def _context(config: dict[str, Any], weights: int) -> int:
    """Key and value, 16 bits each, of every layer and key-value head."""
    config = config.get("text_config") or config
    try:
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        per_token = 2 * 2 * config["num_hidden_layers"] * (config.get("num_key_value_heads") or heads) * width
        return int(per_token * min(_CONTEXT, config.get("max_position_embeddings") or _CONTEXT))
    except (KeyError, TypeError):
        return weights // 5  # another architecture: the usual models of this size need no more


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
