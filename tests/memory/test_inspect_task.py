"""The exam as an inspect_ai task: run by inspect itself, on its own stub of a model."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log

from memory.exam import Exam
from memory.inspect_task import subtext_exam
from memory.notes import read_memory
from memory.read_exam import read_exam
from schemas.arrow import to_table
from schemas.errors import InputError
from schemas.results import MemoryRow
from store.parts import write_table
from tests.runs import REPO
from tests.servers.model import ScriptedModel

SETTINGS: dict[str, Any] = {"split": "train", "history": 12_000}


@pytest.fixture(scope="module")
def exam(published: Path) -> Exam:
    return read_exam(published, "train", 12_000)


def samples(folder: Path, **more: Any) -> list[Sample]:
    return list(subtext_exam(str(folder), **{**SETTINGS, **more}).dataset)


def texts(sample: Sample) -> tuple[str, str]:
    assert not isinstance(sample.input, str)
    system, user = sample.input
    return system.text, user.text


MOCK = """
import sys
from inspect_ai import eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from memory.inspect_task import subtext_exam
folder, logs, *replies = sys.argv[1:]
outputs = [ModelOutput.from_content("mockllm/model", reply) for reply in replies]
for output in outputs:
    output.usage = ModelUsage()  # or inspect counts tokens, with a vocabulary that it downloads
model = get_model("mockllm/model", custom_outputs=outputs)
eval(subtext_exam(folder, "train", 12000), model=model, limit=3, log_dir=logs, max_connections=1, max_samples=1, display="none")
"""


def inspected(logs: Path, *words: str, **environment: str) -> EvalLog:
    """The log of inspect in a process of its own, because it leaves streams unclosed, of which another test would be told."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False, cwd=REPO,
        env={**os.environ, **environment, "PYTHONPATH": str(REPO), "PWD": str(REPO)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    (file,) = logs.iterdir()
    log = read_eval_log(str(file))
    assert log.status == "success", log.error
    return log


def test_three_questions_are_put_and_scored_by_inspect(published: Path, exam: Exam, tmp_path: Path) -> None:
    first, second, _ = samples(published)[:3]
    assert isinstance(first.target, str) and isinstance(second.target, str)
    wrong = "ABCD".replace(second.target, "")[0]
    replies = (f"ANSWER: {first.target}", f"ANSWER: {wrong}", "I would rather not say.")
    log = inspected(tmp_path, "-c", MOCK, str(published), str(tmp_path), *replies)
    assert log.samples is not None and log.results is not None
    assert [sample.scores["choice"].value for sample in log.samples if sample.scores] == ["C", "I", "I"]
    metrics = {name: metric.value for score in log.results.scores for name, metric in score.metrics.items()}
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert "stderr" in metrics and {put.question.kind for _, put in exam.questions} & metrics.keys()
    assert log.eval.metadata == {"exam": exam.name, "seal": exam.seal, "shown": "history"}


def test_every_question_is_a_sample_and_its_target_is_the_gold(published: Path, exam: Exam) -> None:
    asked = {put.question.question_id: put.question for _, put in exam.questions}
    found = samples(published)
    assert [str(one.id).partition("@")[0] for one in found] == [put.question.question_id for _, put in exam.questions]
    for one in [*found, *samples(published, rotations=4)]:
        question = asked[str(one.id).partition("@")[0]]
        assert one.choices is not None and isinstance(one.target, str)
        assert one.choices["ABCD".index(one.target)] == question.options[question.gold_index].text
        assert one.metadata is not None and one.metadata["kind"] == question.kind
    assert len({one.target for one in found}) == 4, "the places of golds differ"
    assert len({one.id for one in samples(published, rotations=4)}) == 4 * len(asked)


def test_a_model_is_shown_the_history_up_to_the_question_and_no_more(published: Path, exam: Exam) -> None:
    for (sheet, put), one in zip(exam.questions, samples(published), strict=True):
        system, user = texts(one)
        for place, session in enumerate(sheet.sessions):
            shown = f"\n{session.session_id.partition('/')[2]}, {session.started_at.date()}\n" in user
            assert shown == (place < put.sessions)
        assert put.question.text in user and put.question.text not in system
        assert not any(option.text in user for option in put.question.options), "inspect lists them itself"


def test_a_model_is_shown_a_memory_that_read_nothing_from_after_the_question(published: Path, exam: Exam, tmp_path: Path) -> None:
    rows = []
    for sheet in exam.sheets:
        days = sorted({session.started_at.date() for session in sheet.sessions})
        for write, day in enumerate(days[::4], 1):
            text = f"{day} s000 | knows the days up to {day}"
            rows.append(MemoryRow(arm="mine", budget=64, persona_id=sheet.persona.persona_id, write=write, until=day, memory=text))
    write_table(tmp_path / "memories.parquet", to_table(rows, MemoryRow))
    options: dict[str, Any] = {"memory": str(tmp_path / "memories.parquet"), "arm": "mine", "budget": 64}
    for (sheet, put), one in zip(exam.questions, samples(published, **options), strict=True):
        _, user = texts(one)
        assert "<session>" not in user
        read = {session.started_at.date() for session in sheet.sessions[: put.sessions]}
        later = {session.started_at.date() for session in sheet.sessions[put.sessions :]}
        own = [row for row in rows if row.persona_id == sheet.persona.persona_id and row.until < min(later, default=date.max)]
        if own:
            assert own[-1].until <= max(read)
            assert own[-1].memory in user and not read_memory(own[-1].memory, "p").invalid
        else:
            assert "Nothing is known of this user." in user
    with pytest.raises(InputError, match=r"no memories of mine with 128 tokens of 3 user\(s\) of tiny/0.1.0/train/12000"):
        samples(published, **{**options, "budget": 128})
    with pytest.raises(InputError, match="no such file"):
        samples(published, memory=str(tmp_path / "none.parquet"))


def test_inspects_own_command_line_measures_a_model_on_a_server(published: Path, tmp_path: Path) -> None:
    words = [
        "-m",
        "inspect_ai",
        "eval",
        "memory/inspect_task.py",
        "--model",
        "openai-api/ours/scripted",
        "--limit",
        "2",
        "--display",
        "none",
    ]
    arguments = [f"folder={os.path.relpath(published, REPO)}", "split=train", "history=12000", "users=1"]
    words += ["--log-dir", str(tmp_path), *(word for one in arguments for word in ("-T", one))]
    with ScriptedModel(lambda _: "ANSWER: A") as model:
        log = inspected(tmp_path, *words, OURS_BASE_URL=model.base_url, OURS_API_KEY="none")
        asked = [request["messages"][-1]["content"] for request in model.requests]
    assert log.results is not None and log.results.total_samples == 2
    assert len(asked) == 2
    assert all("Answer the following multiple choice question" in text and "<session>" in text and "A) " in text for text in asked)
