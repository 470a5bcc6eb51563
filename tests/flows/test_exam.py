"""`subtext exam` as a user meets it: with real agents in processes of their own, killed and begun again, checked and compared."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from store.signing import signed, signing_key
from tests.llm import wait_for
from tests.runs import REPO, command
from tests.servers.model import ScriptedModel

FIRST = """
import json, pathlib, sys
counter = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        with counter.open("a") as file:
            file.write(message["user"] + "\\n")
        if counter.with_name("hold").exists() and counter.read_text().split()[0] != message["user"]:
            sys.stdin.read()
    replies = {"question": {"choice": int(sys.argv[2])}, "memory": {"text": "a word or two"}}
    print(json.dumps(replies.get(message["type"])), flush=True)
"""
"""Always takes the option of one place. Where there is a file `hold`, all but the first user's wait for the end of their stdin."""


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBTEXT_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The tiny dataset as somebody would have downloaded it."""
    root = tmp_path / "dataset"
    root.mkdir()
    shutil.copy(published / "manifest.json", root)
    return Path(shutil.copytree(published / "data", root / "data")).parent


def agent_of(tmp_path: Path, place: int = 0) -> str:
    (tmp_path / "agent.py").write_text(FIRST, encoding="utf-8")
    return f"command:{sys.executable} {tmp_path / 'agent.py'} {tmp_path / 'started'} {place}"


def exam(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["exam", *map(str, arguments)])


def taken(folder: Path, agent: str, *more: object) -> Result:
    return exam(folder, "--agent", agent, "--split", "train", "--history", 12000, *more)


def result_of(folder: Path, tmp_path: Path, name: str = "mine", place: int = 0, **more: object) -> Path:
    options = [word for key, value in more.items() for word in (f"--{key}", value)]
    done = taken(folder, agent_of(tmp_path, place=place), "--name", name, *options)
    assert done.exit_code == 0, done.output
    return folder / "agent" / f"exam-{name}.json"


def edited(path: Path, change: Callable[[Any], Any], tmp_path: Path, *, again: bool) -> Path:
    """A copy of a result in which something was changed; signed `again` by whoever changed it, or not."""
    document = json.loads(path.read_text("utf-8"))
    change(document)
    if again:
        del document["signature"]
        document = signed(document, signing_key(tmp_path / "forger.pem"))
    (tmp_path / "edited.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path / "edited.json"


def test_the_result_holds_what_is_needed_to_compare(folder: Path, tmp_path: Path) -> None:
    done = taken(folder, agent_of(tmp_path), "--budget", 100)
    assert done.exit_code == 0, done.output
    (path,) = (folder / "agent").iterdir()
    assert path.name == f"exam-{Path(sys.executable).name}-agent.py-started-0.json"
    found = json.loads(path.read_text("utf-8"))
    assert found["dataset"]["name"] == "tiny" and found["dataset"]["author"].startswith("offline-")
    assert found["exam"]["name"] == "tiny/0.1.0/train/12000"
    assert re.fullmatch(r"[0-9a-f]{32}", found["exam"]["seal"])
    assert (found["exam"]["users"], found["exam"]["questions"]) == (3, len(found["answers"]))
    assert found["agent"]["kind"] == "command" and str(tmp_path) not in path.read_text("utf-8")
    assert found["accuracy"] == {"value": 0.25, "low": 0.25, "high": 0.25, "unread": 0}
    assert found["memory"] == {"budget": 100, "mean_tokens": 4.0, "most_tokens": 4, "over_budget": 0, "hidden": 0}
    assert found["spent"] is None
    assert found["made_with"]["chunk_tokens"] is None and found["made_with"]["tokenizer"].startswith("minilm-")
    assert found["made_with"]["packages"]["subtext"]
    assert all(row["choices"] == [0, 1, 2, 3] and row["correct"] == 0.25 for row in found["answers"])
    assert "right 25.0%, 95 % interval 25.0% to 25.0%" in done.output and str(path) in done.output
    assert stat.S_IMODE((tmp_path / "config" / "exam-key.pem").stat().st_mode) == 0o600
    checked = exam("--verify", path, folder)
    assert (checked.exit_code, found["signature"]["public_key"] in checked.output) == (0, True), checked.output
    assert exam("--verify", path).exit_code == 0


def test_the_same_agent_is_examined_again_and_another_does_not_replace_it(folder: Path, tmp_path: Path) -> None:
    path = result_of(folder, tmp_path)
    before = path.read_bytes()
    assert result_of(folder, tmp_path).read_bytes() == before
    for more in (("--budget", 256), ("--users", 2)):
        done = taken(folder, agent_of(tmp_path), "--name", "mine", *more)
        assert done.exit_code == 2
        assert "holds the result of mine on tiny/0.1.0/train/12000 with 512 tokens of memory; give another file" in done.output
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    done = taken(folder, agent_of(tmp_path), "--out", tmp_path / "notes.json")
    assert (done.exit_code, "is in the way" in done.output) == (2, True)
    assert path.read_bytes() == before
    assert taken(folder, agent_of(tmp_path), "--name", "mine", "--users", 2, "--out", tmp_path / "few.json").exit_code == 0
    assert exam("--verify", tmp_path / "few.json", folder).exit_code == 0


def test_killed_it_goes_on_with_the_users_who_are_left(folder: Path, tmp_path: Path) -> None:
    whole = result_of(folder, tmp_path)
    started, out = tmp_path / "started", tmp_path / "out" / "result.json"
    started.unlink()
    (tmp_path / "hold").touch()
    partial = out.with_name("result.partial.jsonl")
    options = ["--split", "train", "--history", "12000", "--name", "mine", "--out", str(out)]
    with subprocess.Popen(
        command("exam", str(folder), "--agent", agent_of(tmp_path), *options), cwd=REPO, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPO)}, start_new_session=True,
    ) as process:  # fmt: skip
        wait_for(lambda: partial.is_file() and len(partial.read_bytes().splitlines()) == 2, process)
        os.killpg(process.pid, signal.SIGKILL)
    assert not out.exists()
    with partial.open("ab") as file:
        file.write(b'{"user": "p')  # a line that the kill cut short
    first = json.loads(partial.read_bytes().splitlines()[1])["user"]
    started.unlink()
    (tmp_path / "hold").unlink()
    done = taken(folder, agent_of(tmp_path), "--name", "mine", "--out", out)
    assert done.exit_code == 0, done.output
    users = {row["persona_id"] for row in json.loads(whole.read_text("utf-8"))["answers"]}
    assert {*started.read_text().split()} == users - {first}
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in out.parent.iterdir()) == ["result.json"]


def test_what_was_kept_of_another_exam_is_not_used_and_damage_is_told(folder: Path, tmp_path: Path) -> None:
    path = result_of(folder, tmp_path)
    partial = path.with_name("exam-mine.partial.jsonl")
    rows = json.loads(path.read_text("utf-8"))["answers"]
    wrong = {"user": rows[0]["persona_id"], "answers": [{**rows[0], "correct": 1.0}]}
    stale = f'{{"exam": "another"}}\n{json.dumps(wrong)}\n'
    partial.write_text(stale, encoding="utf-8")
    before = path.read_bytes()
    assert result_of(folder, tmp_path).read_bytes() == before
    assert not partial.exists()
    broken = path.with_name("exam-broken.partial.jsonl")
    broken.write_text(stale, encoding="utf-8")
    assert taken(folder, f"command:{sys.executable} -c exit(3)", "--name", "broken").exit_code == 1
    assert [json.loads(line).keys() for line in broken.read_bytes().splitlines()] == [{"exam"}]
    partial.write_text("nonsense\n", encoding="utf-8")
    done = taken(folder, agent_of(tmp_path), "--name", "mine")
    assert (done.exit_code, "is damaged; delete it" in done.output) == (2, True)


def test_an_agent_that_fails_is_told_in_one_line_and_leaves_no_result(folder: Path, tmp_path: Path) -> None:
    done = taken(folder, f"command:{sys.executable} -c 'raise SystemExit(3)'")
    assert done.exit_code == 1
    assert re.fullmatch(r"subtext: .* ended with status 3 before it replied to `start`; its last words: none\n", done.stderr)
    assert not list(folder.glob("agent/exam-*.json"))


def test_a_language_model_is_examined_and_its_cost_is_told(folder: Path, tmp_path: Path) -> None:
    def script(request: dict[str, Any]) -> str | None:
        return None if request.get("logprobs") else "2025-03-02 | drinks tea"

    with ScriptedModel(script) as model:
        files = []
        for _ in range(2):
            done = taken(folder, f"llm:scripted@{model.base_url}", "--users", 1, "--out", tmp_path / "llm.json")
            assert done.exit_code == 0, done.output
            files.append(json.loads((tmp_path / "llm.json").read_text("utf-8")))
        once, again = files
        calls = sum(account["calls"] for account in once["spent"]["calls"].values())
        assert f"{calls:,} calls" in done.output
        assert model.calls == calls, "what was paid for is not asked again"
        assert model.base_url not in (tmp_path / "llm.json").read_text("utf-8")
        model.echo_status = 401
        done = taken(folder, f"llm:scripted@{model.base_url}", "--users", 2, "--out", tmp_path / "no" / "llm.json")
        assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
        assert not list(tmp_path.glob("no/*.jsonl")), "its calls are kept, and nothing beside them"
    assert once["agent"] == {"kind": "llm", "name": "scripted", "details": once["agent"]["details"]}
    assert once["agent"]["details"].keys() == {"model", "prompts"}
    assert once["made_with"]["chunk_tokens"] == 5000
    assert once["answers"] == again["answers"] and once["spent"]["tokens"] == again["spent"]["tokens"]
    assert all(len(row["shares"]) == 4 and row["memory_tokens"] is not None for row in once["answers"])
    assert exam("--verify", tmp_path / "llm.json", folder).exit_code == 0


def answer(**change: Any) -> Callable[[Any], Any]:
    return lambda result: result["answers"][0].update(change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda result: result["accuracy"].update(value=0.5), r"the accuracy is said to be 0\.5000 .* give 0\.2500"),
        (lambda result: result["accuracy"].update(high=0.9), r"the accuracy is said to be .*to 0\.9000"),
        (lambda result: result["accuracy"].update(unread=1), r"1 unread, and the answers"),
        (answer(correct=1.0), r"1 answer\(s\) are marked otherwise than choices and gold say, the first \S+/q"),
        (answer(choices=[0, 0, 0, -1]), r"1 answer\(s\) are marked otherwise|the accuracy is said"),
        (answer(memory_tokens=9000), r"the memory is said to be 4\.0 tokens"),
        (lambda result: result["memory"].update(budget=3), r"the memory is said to be"),
        (lambda result: result["answers"].pop(), r"it says \d+ questions to 3 users, and holds answers to \d+"),
        (lambda result: result["answers"].append(result["answers"][0]), "a question is answered twice"),
    ],
)
def test_a_result_that_contradicts_itself_does_not_pass_whoever_signed_it(
    folder: Path, tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    path = result_of(folder, tmp_path)
    done = exam("--verify", edited(path, change, tmp_path, again=True))
    assert done.exit_code == 1
    assert re.search(said, done.stderr), done.stderr
    assert "the signature" not in done.stderr
    done = exam("--verify", edited(path, change, tmp_path, again=False))
    assert (done.exit_code, "the signature does not fit" in done.stderr) == (1, True)


def flipped(result: Any) -> None:
    """Claim another gold, and everything that follows from it."""
    row = result["answers"][0]
    row["gold"] = (row["gold"] + 1) % 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flipped, r"q\d+: it says gold \d, kind \w+, user \w+; the dataset says"),
        (answer(question_id="p/q999"), r"1 question\(s\) of the exam are not answered, and 1 answered that are not in it"),
        (answer(kind="sensitive"), r"kind sensitive, user"),
        (lambda result: result["exam"].update(seal="0" * 32), "it is of another exam: tiny/0.1.0/train/12000, seal 0000"),
        (lambda result: result["exam"].update(name="small/0.1.0/train/12000"), "it is of another exam: small/"),
    ],
)
def test_what_contradicts_the_dataset_is_seen_with_the_dataset_alone(
    folder: Path, tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    path = edited(result_of(folder, tmp_path), change, tmp_path, again=True)
    assert exam("--verify", path).exit_code == 0
    done = exam("--verify", path, folder)
    assert done.exit_code == 1
    assert re.search(said, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_changed_dataset_verifies_nothing(folder: Path, tmp_path: Path) -> None:
    path = result_of(folder, tmp_path)
    (file,) = (folder / "data" / "questions").glob("train-*")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    done = exam("--verify", path, folder)
    assert (done.exit_code, "has changed since it was published" in done.stderr) == (2, True)


def test_two_agents_are_compared_question_by_question(folder: Path, tmp_path: Path) -> None:
    def all_right(result: Any) -> None:
        for row in result["answers"]:
            row.update(choices=[row["gold"]] * 4, correct=1.0)
        result["accuracy"].update(value=1.0, low=1.0, high=1.0)
        result["agent"]["name"] = "oracle"

    mine = result_of(folder, tmp_path)
    better = edited(mine, all_right, tmp_path, again=True)
    done = exam("--compare", better, mine)
    assert done.exit_code == 0, done.output
    assert "oracle is +75.0% against mine, 95 % interval +75.0% to +75.0%, p = 0.000" in done.output
    assert "-75.0% against oracle" in exam("--compare", mine, better).output
    same = exam("--compare", mine, mine)
    assert "+0.0% against mine" in same.output and "p = 1.000" in same.output


def test_results_of_different_exams_or_budgets_are_not_compared(folder: Path, tmp_path: Path) -> None:
    mine = result_of(folder, tmp_path)
    for name, more in (("exams", {"users": 2}), ("memory budgets", {"budget": 256})):
        done = exam("--compare", mine, result_of(folder, tmp_path, f"m{len(name)}", **more))
        assert done.exit_code == 2
        assert f"results of different {name}" in done.stderr
    other = edited(mine, lambda result: result["made_with"].update(tokenizer="else"), tmp_path, again=True)
    assert "different tokenizers" in exam("--compare", mine, other).stderr
    forged = edited(mine, lambda result: result["exam"].update(questions=1), tmp_path, again=False)
    done = exam("--compare", mine, forged)
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 2)


def test_wrong_input_exits_with_2(folder: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((folder,), "give one of --agent, --verify and --compare"),
        (("--agent", "extractive"), "--agent wants the folder of a finished dataset"),
        ((folder, "--agent", "gpt-5"), "no such agent"),
        ((tmp_path, "--agent", "command:true"), "is not a finished dataset"),
        (("--verify", tmp_path / "none.json"), "cannot be read as a signed result"),
        (("--verify", folder / "manifest.json"), "has no signature"),
        ((folder, "--compare", "a", "b"), "takes two results and no folder"),
    ):
        done = exam(*arguments)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    (tmp_path / "odd.json").write_text('{"format": "subtext-exam", "signature": {}}', encoding="utf-8")
    done = exam("--verify", tmp_path / "odd.json")
    assert (done.exit_code, "is no result of an exam" in done.stderr) == (2, True)
    (tmp_path / "key.pem").write_text("no key", encoding="utf-8")
    done = taken(folder, agent_of(tmp_path), "--key", tmp_path / "key.pem")
    assert (done.exit_code, "cannot be read as a key" in done.stderr) == (2, True)
    assert not (tmp_path / "started").exists(), "nobody is examined before that is clear"
