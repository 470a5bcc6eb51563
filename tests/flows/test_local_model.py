"""The whole path on a real language model: SmolLM2-135M behind llama.cpp's server, over HTTP, held to a JSON schema; nothing patched.

The model is far too small to write good data. Most of what it writes is rejected, and that is the point here: nothing may be lost.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from author.serving.launch import launch
from schemas.config import AuthorConfig
from tests.llm import FAULTS, faults_counted, journalled, rejects
from tests.runs import subtext
from tests.servers.proxy import FaultProxy

CONFIG = "configs/local-llm.yaml"
SHORT = [
    "--no-prefect", "--set", "expand.facts_per_persona=2", "--set", "author.text_limit=120", "--set", "author.timeout_s=280",
    "--set", "distract.noise={hypothetical: 1, third_person: 0, fiction: 0, quoted: 0, near_miss: 1, assistant_only: 0}",
    "--set", "ask.questions_per_persona=3", "--set", "assemble.fill=0.15",
]  # fmt: skip
ALSO_ITS_OWN = {"invalid_json", "wrong_schema", "length"}
"""Faults that the small model makes without any proxy."""


def summary_of(root: Path) -> dict[str, dict[str, dict[str, int]]]:
    """The counts by stage and record type, after seeing that the reject files say the same."""
    summary = json.loads((root / "summary.json").read_text(encoding="utf-8"))
    stages = {stage: figures["records"] for stage, figures in summary["stages"].items()}
    for stage, records in stages.items():
        refused = Counter(kind for (kind,) in rejects(root, stage, "record_type")) if stage != "publish" else Counter()
        for kind, counts in records.items():
            assert counts["requested"] == counts["kept"] + counts["rejected"], (stage, kind)
            assert refused[kind] == counts["rejected"], (stage, kind)
    return stages


@pytest.mark.timeout(900)
def test_the_pipeline_runs_end_to_end_on_a_real_model_that_it_starts_itself(tmp_path: Path) -> None:
    done = subtext("run", CONFIG, *SHORT, "--out", str(tmp_path), patience=880)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "local-llm" / "0.1.0"
    stages = summary_of(root)
    assert stages["expand"]["persona"]["requested"] == 2
    assert stages["assemble"]["history"]["kept"] >= 1
    summary = json.loads((root / "summary.json").read_text(encoding="utf-8"))
    assert summary["author"] == "openai"
    assert sum(account["calls"] for account in summary["calls"].values()) == len(journalled(root))
    assert summary["tokens"]["prompt"] > summary["tokens"]["cached"] > 0
    assert {"expand/persona", "expand/facts", "converse/evidence", "distract/unrelated", "ask/item"} <= summary["calls"].keys()
    (model,) = {call["model"] for call in journalled(root)}
    assert model == "smollm2"


@pytest.mark.timeout(900)
def test_a_fifth_of_all_calls_may_go_wrong(tmp_path: Path) -> None:
    config = AuthorConfig(kind="openai", launch="local")
    with launch(config, tmp_path / "server.log") as server, FaultProxy(server.url, share=0.2, stall_s=30) as proxy:
        there = {"launch": "none", "model": "smollm2", "base_url": proxy.base_url}
        settings = [word for key, value in there.items() for word in ("--set", f"author.{key}={value}")]
        done = subtext("run", CONFIG, *SHORT, *settings, "--set", "expand.facts_per_persona=1", "--out", str(tmp_path), patience=880)
        injected: Counter[str] = Counter(proxy.injected)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    root = tmp_path / "local-llm" / "0.1.0"
    summary_of(root)
    counted = faults_counted(root)
    assert len(injected) >= 5, injected  # every kind is met in test_llm_errors.py, on a model that answers at once
    for kind, names in FAULTS.items():
        wanted = sum(injected[name] for name in names)
        assert counted[kind] >= wanted if kind in ALSO_ITS_OWN else counted[kind] == wanted, (kind, counted, injected)
    assert set(counted) <= {*FAULTS, "timeout"}
