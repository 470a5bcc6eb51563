"""Small runs on the scripted model, from a config file and through the command line as users do, or in this process."""

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import yaml

from flows.pipeline import Outcome
from schemas.config import Config
from tests.runs import REPO, TINY, command, run_here, subtext
from tests.servers.http import HttpServer

SMALL: dict[str, Any] = {
    **TINY,
    "seeds": {"builtin_count": 3},
    "run": {"shard_size": 1, "concurrency": 3},
    "expand": {"facts_per_persona": 3},
    "ask": {"questions_per_persona": 4},
    "assemble": {"budgets": [4000], "fill": 0.85},  # so that all sessions that are written for it fit
}
"""One person in each split; about 80 calls."""


def fields(*models: HttpServer, **sections: dict[str, Any]) -> dict[str, Any]:
    """The small config, written by `models`, with some settings of some sections changed."""
    urls = [model.base_url for model in models]
    author = {"kind": "openai", "model": "scripted", "base_url": urls[0] if len(urls) == 1 else urls}
    usual = {**SMALL, "author": author}
    return {name: {**usual.get(name, {}), **sections.get(name, {})} for name in {*usual, *sections}}


def write_here(out: Path, *models: HttpServer, **sections: dict[str, Any]) -> Outcome:
    """Run in this process."""
    return run_here(Config.model_validate(fields(*models, **sections)), out / "output")


def arguments(out: Path, *models: HttpServer, **sections: dict[str, Any]) -> list[str]:
    """What follows `subtext run`: a config file in `out`, and the place beside it where the dataset goes."""
    config = out / "config.yaml"
    config.write_text(yaml.safe_dump(fields(*models, **sections)), encoding="utf-8")
    return [str(config), "--no-prefect", "--out", str(out / "output")]


def run(out: Path, *models: HttpServer, more: tuple[str, ...] = (), **sections: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run `subtext run` to its end."""
    return subtext("run", *arguments(out, *models, **sections), *more)


def started(out: Path, *models: HttpServer, env: dict[str, str] | None = None, **sections: dict[str, Any]) -> subprocess.Popen[str]:
    """Start `subtext run`."""
    return subprocess.Popen(
        command("run", *arguments(out, *models, **sections)), cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), **(env or {})},
    )  # fmt: skip


def root(out: Path, version: str = "0.1.0") -> Path:
    """The run folder."""
    return out / "output" / "tiny" / version


def wait_for(true: Callable[[], bool], process: subprocess.Popen[str] | None = None, patience: float = 90) -> None:
    """Wait until `true`; fail when the process has ended before, or patience has."""
    until = time.monotonic() + patience
    while not true():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def said(stderr: str) -> str:
    """The one line on stderr that is not a line of progress."""
    (line,) = [line for line in stderr.splitlines() if not re.match(r" *\d+\.\d s  ", line)]
    assert line.startswith("subtext: ")
    return line


def journalled(folder: Path) -> list[dict[str, Any]]:
    """The calls in the journal of a run folder: the lines that are whole."""
    lines = [line for path in sorted(folder.glob("journal/*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]
    parsed = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [line["call"] for line in parsed if "call" in line]


FAULTS = {
    "429": ["429", "429_retry_after"], "500": ["500"], "503": ["503"], "connection": ["reset", "stall"], "body": ["broken_body"],
    "refusal": ["refusal"], "empty": ["empty"], "length": ["length"], "invalid_json": ["truncated_json"], "wrong_schema": ["wrong_schema"],
}  # fmt: skip
"""What the ledger calls each kind of fault that the proxy injects."""


def faults_counted(folder: Path) -> Counter[str]:
    """The faults in the ledger of a run folder, by kind."""
    counted: Counter[str] = Counter()
    for account in json.loads((folder / "summary.json").read_text(encoding="utf-8"))["calls"].values():
        counted.update(account["faults"])
    return counted


def rejects(folder: Path, stage: str, what: str = "*") -> list[tuple[Any, ...]]:
    """Asked of the reject files of a stage."""
    return duckdb.execute(f"SELECT {what} FROM '{folder}/rejects/{stage}/*.parquet'").fetchall()


def contents(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below `folder` as text: its bytes, and of Parquet also what the compression hides; and the names of all files."""
    for path in sorted(folder.rglob("*")):
        yield path, path.relative_to(folder).as_posix()
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path, json.dumps([table.to_pylist(), str(table.schema.metadata)], ensure_ascii=False, default=str)


def all_hashes(folder: Path) -> dict[str, str]:
    """Hash of every file below `folder`, the lock aside."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): blake2b(path.read_bytes()).hexdigest() for path in paths}


def content_hash(text: str) -> int:
    """A number that decides, the same on every machine, what a script does with a text."""
    return blake2b(text.encode(), digest_size=1).digest()[0]


def kind_of(request: dict[str, Any]) -> str:
    """The prompt of a request."""
    name: str = request["response_format"]["json_schema"]["name"]
    return name.replace("_", "/", 1)
