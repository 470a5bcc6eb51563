"""`subtext train` as it is used."""

import shutil
from pathlib import Path

import torch
from click.testing import CliRunner

from flows.cli import main

SMOKE = str(Path(__file__).parent.parent.parent / "configs" / "train" / "cpu-smoke.yaml")


def trained(folder: Path, *settings: str) -> "tuple[int, str]":
    more = [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(main, ["train", str(folder), "--config", SMOKE, "--no-prefect", "--set", "run.history=12000", *more])
    return result.exit_code, result.output


def test_a_dataset_is_trained_on(published: Path, tmp_path: Path) -> None:
    """The smoke config with as little as it takes; its own stages are tested with the trainer."""
    root = tmp_path / "tiny"
    shutil.copytree(published, root)
    config = tmp_path / "one.yaml"
    config.write_text(
        "kind: llm\nrun: {name: one, history: 12000}\nmodel: {base: tiny}\nmemory: {tokens: 64, chunk_tokens: 2000}\n"
        "rollout: {group: 2, questions: 1, users_per_step: 1, reply_tokens: 8}\n"
        "long_context: {steps: 1, micro_batch: 1, context_tokens: 200}\n",
        encoding="utf-8",
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = CliRunner().invoke(main, ["--debug", "train", str(root), "--config", str(config), "--no-prefect"], catch_exceptions=False)
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert "long_context: step 1 of 1" in result.output
    assert (root / "agent" / "training" / "one" / "long_context" / "model" / "model.safetensors").is_file()


def test_what_is_wrong_is_said(published: Path, tmp_path: Path) -> None:
    assert trained(tmp_path / "nothing")[0] == 2
    code, text = trained(published, "run.history=7000")
    assert code == 2
    assert "it has those of 12000 tokens" in text
    shutil.copytree(published, tmp_path / "copy")
    code, text = trained(tmp_path / "copy", "model.base=no/such-model", "run.name=none")
    assert code == 2
    assert "no model no/such-model here" in text
    code, text = trained(published, "rollout.group=one")
    assert code == 2
    assert "rollout.group" in text
