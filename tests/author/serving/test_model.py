import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from author.serving.model import folder_of, size_of, size_of_folder
from schemas.errors import InputError

CONFIG = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64, "num_hidden_layers": 3, "max_position_embeddings": 1000}
CONTEXT = 2 * 2 * 3 * 2 * 16 * 1000
"""Bytes: key and value, 16 bits, layers, heads, width, tokens."""


def model(folder: Path, config: Mapping[str, object], shards: int = 1) -> Path:
    """A real, if small, model folder: 1,000 half-precision numbers a shard."""
    (folder / "config.json").write_text(json.dumps(config))
    for shard in range(shards):
        save_file({f"w{shard}": np.zeros(1000, dtype=np.float16)}, folder / f"model-{shard}.safetensors")
    return folder


def test_the_sizes_of_files_are_added_up(tmp_path: Path) -> None:
    size = size_of(str(model(tmp_path, {**CONFIG, "dtype": "bfloat16"}, shards=3)))
    assert size is not None
    assert 6000 <= size.weights < 6600
    assert size.context == CONTEXT


def test_an_index_says_it_exactly(tmp_path: Path) -> None:
    model(tmp_path, CONFIG)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 123_456}, "weight_map": {}}))
    size = size_of_folder(tmp_path)
    assert size is not None
    assert size.weights == 123_456


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_float32_weights_are_halved_on_the_gpu(tmp_path: Path, key: str) -> None:
    full = size_of_folder(model(tmp_path, CONFIG))
    half = size_of_folder(model(tmp_path, {**CONFIG, key: "float32"}))
    assert full is not None
    assert half is not None
    assert half.weights == full.weights // 2


def test_a_context_is_no_longer_than_our_requests(tmp_path: Path) -> None:
    long = size_of_folder(model(tmp_path, {"text_config": {**CONFIG, "max_position_embeddings": 262_144}}))
    assert long is not None
    assert long.context == CONTEXT // 1000 * 16_384


def test_an_unknown_architecture_is_estimated(tmp_path: Path) -> None:
    size = size_of_folder(model(tmp_path, {"layers": 3}))
    assert size is not None
    assert size.context == size.weights // 5


def test_a_folder_without_weights_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert size_of_folder(tmp_path) is None


def test_names_on_the_hub_and_paths_are_told_apart(tmp_path: Path) -> None:
    assert folder_of("Qwen/Qwen3-4B-Instruct-2507") is None
    assert folder_of("gpt2") is None
    (tmp_path / "config.json").write_text("{}")
    assert folder_of(str(tmp_path)) == tmp_path
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"it has no config\.json"):
        folder_of(str(tmp_path / "empty"))
    for wrong in ("./nowhere", "/no/where", "a/b/c", str(tmp_path / "config.json")):
        with pytest.raises(InputError, match="no such folder"):
            folder_of(wrong)
