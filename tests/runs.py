"""Small real runs for the tests: a config that takes seconds, run in this process or through the command line."""

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

from flows.pipeline import Outcome, run_pipeline
from flows.progress import Progress
from flows.runner import ThreadRunner
from schemas.config import Config
from schemas.stage import StageName

REPO = Path(__file__).parent.parent
TINY: dict[str, Any] = {
    "dataset": {"name": "tiny"},
    "seeds": {"builtin_count": 5},
    "run": {"shard_size": 2},
    "expand": {"facts_per_persona": 5},
    "ask": {"questions_per_persona": 8},
    "distract": {"noise": {"hypothetical": 1, "third_person": 1, "quoted": 1, "fiction": 1, "near_miss": 1, "assistant_only": 1}},
    "assemble": {"budgets": [12_000]},
    "audit": {"gate": "report"},  # so few people can be asked little
}
TINY_SETTINGS = [
    "--set", "dataset.name=tiny", "--set", "seeds.builtin_count=5", "--set", "run.shard_size=2", "--set", "expand.facts_per_persona=5",
    "--set", "ask.questions_per_persona=8", "--set", "assemble.budgets=[12000]", "--set", "agent.kind=none", "--set",
    "distract.noise={hypothetical: 1, third_person: 1, quoted: 1, fiction: 1, near_miss: 1, assistant_only: 1}",
]  # fmt: skip


def tiny(**sections: dict[str, Any]) -> Config:
    """The tiny config with some settings of some sections changed."""
    return Config.model_validate({name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}})


def run_here(config: Config, out: Path, until: StageName = "publish") -> Outcome:
    """Run the pipeline in this process, without Prefect and without a word."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, Progress(nowhere) as progress:
        return run_pipeline(config, out, ThreadRunner(config.run.concurrency, progress), progress, until)


def command(*arguments: str, tiny_run: bool = False) -> list[str]:
    """The `subtext` command line, run with this interpreter."""
    extra = [str(REPO / "configs" / "demo.yaml"), "--no-prefect", *TINY_SETTINGS] if tiny_run else []
    first, *rest = arguments
    return [sys.executable, "-m", "flows.cli", first, *extra, *rest]


def subtext(
    *arguments: str, tiny_run: bool = False, cwd: Path = REPO, patience: int = 240, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `subtext` as a user does; for `patience` seconds at most."""
    return subprocess.run(
        command(*arguments, tiny_run=tiny_run), capture_output=True, text=True, cwd=cwd, check=False, timeout=patience,
        env={**os.environ, "PYTHONPATH": str(REPO), **environment},
    )  # fmt: skip


def hashes(folder: Path, pattern: str = "**/*.parquet") -> dict[str, str]:
    """Hash of every file below `folder` that fits `pattern`, by relative path."""
    return {
        path.relative_to(folder).as_posix(): blake2b(path.read_bytes(), digest_size=8).hexdigest() for path in sorted(folder.glob(pattern))
    }
