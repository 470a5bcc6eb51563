"""`subtext review` as a reader meets it: in a process of its own, with answers through a pipe."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from flows.review import Exhibit, Terminal, sample
from schemas.question import Question
from schemas.review import Agreement, AgreementRow, Answer, Asked, KindRow, Reviewer, ReviewState
from schemas.session import NOISE_KINDS, Session
from store.dataset import read_published
from tests.runs import REPO, command, run_here, tiny
from validators.audit.audit import review_text

TELLS = "What does this tell you about the user?"
SIZE = 6


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More people than in the other tests: a reader of a sample wants more questions than a few can be asked."""
    return run_here(tiny(seeds={"builtin_count": 14}), tmp_path_factory.mktemp("reviewed")).folder.root


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The tiny dataset, to write beside."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


def review(folder: Path, lines: list[str] | str, *arguments: str, size: int = SIZE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Review with these lines typed."""
    given = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
    return subprocess.run(
        command("review", str(folder), "--sample", str(size), *arguments), input=given, capture_output=True, text=True, timeout=60,
        check=False, cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": "120", **environment},
    )  # fmt: skip


def kept(folder: Path, reviewer: str = "anonymous") -> list[dict[str, Any]]:
    """The lines of a reviewer's file."""
    return [json.loads(line) for line in (folder / "review" / f"{reviewer}.jsonl").read_text("utf-8").splitlines()]


def labelled(folder: Path) -> dict[str, str]:
    """The number of the gold option, or the value that shows (empty for noise), by record."""
    data = folder / "data"
    gold = {one.question_id: str(one.gold_index + 1) for one in read_published(data, "questions", Question)}
    facts = {one["fact_id"]: one["value"] for one in rows(folder, "facts")}
    return gold | {
        one.session_id: facts[one.fact_ids[0]] if one.role in ("evidence", "update") else ""
        for one in read_published(data, "sessions", Session)
    }


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """A published table, read by nothing of ours."""
    import pyarrow.parquet as pq

    return [row for path in sorted((folder / "data" / table).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def right(folder: Path, exhibits: list[Exhibit]) -> list[list[str]]:
    """What somebody types who finds what the labels say, exhibit by exhibit."""
    labels = labelled(folder)
    typed = []
    for one in exhibits:
        label = labels[one.record_id]
        if one.query:
            typed.append([label])
        else:
            typed.append(["a guess", str([*one.choices].index(label) + 1), "n"] if label else ["", str(len(one.choices) + 1)])
    return typed


def flat(lists: list[list[str]]) -> list[str]:
    """All lines."""
    return [line for lines in lists for line in lines]


def test_all_answers_are_kept_and_nothing_is_shown_twice(folder: Path) -> None:
    exhibits = sample(folder, SIZE, 1)
    done = review(folder, flat(right(folder, exhibits)))
    assert (done.returncode, done.stderr) == (0, "")
    assert "All read." in done.stdout
    lines = kept(folder)
    assert list(dict.fromkeys(line["record_id"] for line in lines)) == [one.record_id for one in exhibits]
    labels = labelled(folder)
    for line in lines:
        if line["asked"] in ("value", "option"):
            assert line["answer"] == labels[line["record_id"]]
    assert Counter(line["asked"] for line in lines) == {"tells": 3, "value": 3, "outright": 2, "option": 3}
    before = (folder / "review" / "anonymous.jsonl").read_bytes()
    again = review(folder, [])
    assert TELLS not in again.stdout and "user:" not in again.stdout
    assert "6 of them done" in again.stdout
    assert (folder / "review" / "anonymous.jsonl").read_bytes() == before


def test_no_choice_is_shown_before_the_reader_has_said_what_it_tells(folder: Path) -> None:
    (first, *_) = sample(folder, 1, 1)
    value = labelled(folder)[first.record_id]
    done = review(folder, [], size=1)
    assert TELLS in done.stdout
    assert "none of these" not in done.stdout and value not in done.stdout and first.matter not in done.stdout
    assert value in review(folder, ["something"], size=1).stdout
    assert [line["asked"] for line in kept(folder)] == ["tells"]


def test_nothing_is_shown_but_what_was_said_and_what_is_asked(folder: Path) -> None:
    exhibits = sample(folder, 40, 1)
    done = review(folder, flat(right(folder, exhibits)), size=40, COLUMNS="9000")
    assert done.returncode == 0
    said = {line for one in exhibits for shown in one.conversations for turn in shown.messages for line in turn.content.split("\n")}
    said |= {f"{turn.role}: {turn.content}".split("\n")[0] for one in exhibits for shown in one.conversations for turn in shown.messages}
    said |= {one.query for one in exhibits}
    said |= {f"  {n}. {choice}" for one in exhibits for n, choice in enumerate((*one.choices, *["none of these"][bool(one.query) :]), 1)}
    ours = (
        r"\d+ to read, 0 of them done\. s: skip this one, q: stop\.",
        r"\d+ of \d+ ─+",
        r"\d\d [A-Z][a-z]+ 20\d\d",
        r"\(No conversation bears on what is asked\.\)",
        r"The user now asks:",
        r"What does this tell you about the user\? \(one line, empty: nothing\)  ",
        r'About "[^"]+": which of these fits what it tells about the user\? 1-5  ',
        r"Was it said outright\? y/n  ",
        r"Which option would suit them\? 1-4  ",
        r"All read\. How far people and labels agree: subtext review \S+ --report",
        r"",
    )
    lines = done.stdout.split("\n")
    assert not [line for line in lines if line not in said and not any(re.fullmatch(pattern, line) for pattern in ours)]
    assert sum(line in said for line in lines) > 200


def test_a_sample_is_half_sessions_of_both_sorts_and_its_questions_are_of_other_people(folder: Path) -> None:
    sessions = {one.session_id: one for one in read_published(folder / "data", "sessions", Session)}
    questions = {one.question_id: one for one in read_published(folder / "data", "questions", Question)}
    exhibits = sample(folder, 32, 1)
    drawn = [sessions[one.record_id] for one in exhibits if one.record_id in sessions]
    asked = [questions[one.record_id] for one in exhibits if one.record_id in questions]
    assert (len(drawn), len(asked)) == (16, 16)
    assert sum(one.role in ("evidence", "update") for one in drawn) == 8
    assert {one.noise_kind for one in drawn if one.role == "noise"} == set(NOISE_KINDS)
    assert not {one.persona_id for one in drawn} & {one.persona_id for one in asked}
    assert len({one.persona_id for one in drawn}) == 7
    items = [one.item_id for one in asked]
    assert len(set(items)) == len(set(items[: len(set(items))]))  # none again before there is no other
    for one in exhibits:
        assert len(one.choices) == len(set(one.choices)) == 4
        if one.query:
            question = questions[one.record_id]
            assert {shown.session_id for shown in one.conversations} == set(question.evidence_session_ids)
            assert list(one.choices) == [option.text for option in question.options]
    values = {fact["fact_id"]: fact["value"] for fact in rows(folder, "facts")}
    offered = {one.record_id: one.choices for one in exhibits}
    for session in drawn:
        for name in (*session.fact_ids, *session.trap_fact_ids):
            assert values[name] in offered[session.session_id]
    places = Counter(offered[one.session_id].index(values[one.fact_ids[0]]) for one in drawn if one.fact_ids)
    assert len(places) > 1  # the true value has no place of its own


def test_a_sample_larger_than_the_dataset_has_all_but_requests_to_forget_of_one_half(folder: Path) -> None:
    sessions = read_published(folder / "data", "sessions", Session)
    drawn = {one.record_id for one in sample(folder, 10_000, 1)}
    half = {one.persona_id for one in sessions if one.session_id in drawn}
    left = [one for one in sessions if one.persona_id in half and one.session_id not in drawn]
    assert len(left) >= 3
    assert {one.role for one in left} == {"forget"}


def test_a_sample_depends_on_the_seed_alone_and_what_is_offered_not_even_on_it(folder: Path) -> None:
    small, large, other = sample(folder, 8, 1), sample(folder, 200, 1), sample(folder, 200, 2)
    assert small == large[:8] == sample(folder, 8, 1)
    assert [one.record_id for one in large] != [one.record_id for one in other]
    both = {one.record_id: one for one in large}
    common = [one for one in other if one.record_id in both]
    assert len(common) >= 5
    assert all(both[one.record_id] == one for one in common)


def test_it_goes_on_after_q_where_it_was(folder: Path) -> None:
    first, second, *rest = right(folder, sample(folder, SIZE, 1))
    stopped = review(folder, [*first, "q"])
    assert stopped.returncode == 0
    assert f"Stopped with {SIZE - 1} to go" in stopped.stdout
    on = review(folder, flat([second, *rest]))
    assert "All read." in on.stdout
    assert f"1 of {SIZE} " not in on.stdout and f"2 of {SIZE} " in on.stdout
    assert Counter(line["asked"] for line in kept(folder)) == {"tells": 3, "value": 3, "outright": 2, "option": 3}


def test_a_kill_in_the_middle_of_an_answer_loses_that_answer_alone(folder: Path) -> None:
    exhibits = sample(folder, SIZE, 1)
    first, *rest = right(folder, exhibits)
    with subprocess.Popen(
        command("review", str(folder), "--sample", str(SIZE)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert any(TELLS in line for line in process.stdout)
        process.stdin.write("they keep bees\n")
        process.stdin.flush()
        assert any("which of these fits" in line for line in process.stdout)
        process.stdin.write(first[1])  # typed, but no Enter
        process.stdin.flush()
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stdin.close()
    assert [line["answer"] for line in kept(folder)] == ["they keep bees"]
    with (folder / "review" / "anonymous.jsonl").open("a") as file:
        file.write('{"record_id":"')  # a line that the kill cut short
    on = review(folder, flat([first[1:], *rest]))
    assert "All read." in on.stdout
    assert on.stdout.count(TELLS) == 2  # of three sessions
    lines = kept(folder)
    assert [line["asked"] for line in lines][:3] == ["tells", "value", "outright"]
    assert lines[0]["answer"] == "they keep bees"
    assert len(lines) == 11


def test_input_that_ends_is_a_stop_and_half_a_line_is_no_answer(folder: Path) -> None:
    done = review(folder, "they keep b")
    assert done.returncode == 0
    assert f"Stopped with {SIZE} to go" in done.stdout
    assert kept(folder) == []


def test_what_is_no_answer_is_asked_again(folder: Path) -> None:
    (one, *_) = sample(folder, 1, 1)
    done = review(folder, ["guess", "0", "6", "x", "", "²", "1", "maybe", "Y"], size=1)
    assert done.stdout.count("is no answer") == 6
    assert [line["answer"] for line in kept(folder)] == ["guess", one.choices[0], "yes"]


def test_a_skip_is_kept_and_not_shown_again(folder: Path) -> None:
    assert review(folder, ["s", "s", "q"]).returncode == 0
    assert [line["asked"] for line in kept(folder)] == ["skip", "skip"]
    assert f"3 of {SIZE} " in review(folder, ["q"]).stdout


def test_answers_that_are_not_utf8_are_kept_as_far_as_they_go(folder: Path) -> None:
    done = subprocess.run(
        command("review", str(folder), "--sample", "1"), input=b"caf\xe9\nq\n", capture_output=True, cwd=REPO, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert kept(folder)[0]["answer"] == "caf\N{REPLACEMENT CHARACTER}"


def no_dataset(folder: Path) -> list[str]:
    """A folder that is not there."""
    return [str(folder / "nowhere")]


def unfinished(folder: Path) -> list[str]:
    """A version that was not published."""
    (folder / "manifest.json").unlink()
    return [str(folder)]


def no_table(folder: Path) -> list[str]:
    """A version that lost a table."""
    shutil.rmtree(folder / "data" / "sessions")
    return [str(folder)]


def damaged_table(folder: Path) -> list[str]:
    """A version with a damaged file."""
    next((folder / "data" / "questions").glob("*.parquet")).write_bytes(b"PAR1 not PAR1")
    return [str(folder)]


def other_table(folder: Path) -> list[str]:
    """A version whose sessions are something else."""
    source = next((folder / "data" / "personas").glob("*.parquet"))
    shutil.copy(source, next((folder / "data" / "sessions").glob("*.parquet")))
    return [str(folder)]


def damaged_answers(folder: Path) -> list[str]:
    """Somebody wrote into the answers."""
    (folder / "review").mkdir()
    (folder / "review" / "anonymous.jsonl").write_text("hello\n")
    return [str(folder)]


def outside(folder: Path) -> list[str]:
    """A reviewer who would write elsewhere."""
    return [str(folder), "--reviewer", "../../anna"]


def nameless(folder: Path) -> list[str]:
    """A reviewer without a name."""
    return [str(folder), "--reviewer", ""]


def in_two_lines(folder: Path) -> list[str]:
    """A reviewer whose name has a line end."""
    return [str(folder), "--reviewer", "anna\n"]


@pytest.mark.parametrize(
    "wrong", [no_dataset, unfinished, no_table, damaged_table, other_table, damaged_answers, outside, nameless, in_two_lines]
)
def test_wrong_input_is_one_clear_line(folder: Path, wrong: Callable[[Path], list[str]]) -> None:
    before = set(folder.parent.rglob("*.jsonl"))
    first, *more = wrong(folder)
    done = review(Path(first), ["1"] * 50, *more)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"subtext: .+\n", done.stderr)
    assert "unexpected" not in done.stderr
    assert set(folder.parent.rglob("*.jsonl")) - {folder / "review" / "anonymous.jsonl"} == before


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_read(folder: Path) -> None:
    (folder / "review").write_text("in the way")
    done = review(folder, ["1"] * 50)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"subtext: cannot write .*anonymous\.jsonl: .+\n", done.stderr)


def test_a_full_disk_loses_the_answer_that_did_not_fit_and_no_other(folder: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$@"', "limited", *command("review", str(folder), "--sample", "1")]
    done = subprocess.run(limited, input="ok\n", capture_output=True, text=True, cwd=REPO, check=False, timeout=60)
    assert done.returncode == 0
    done = subprocess.run(
        [*limited, "--reviewer", "ben"], input="x" * 2000 + "\n", capture_output=True, text=True, cwd=REPO, check=False, timeout=60
    )
    assert done.returncode == 1
    assert re.fullmatch(r"subtext: cannot write .*ben\.jsonl: File too large; .*\n", done.stderr)
    assert kept(folder, "ben") == []


def test_two_at_once_under_one_name_are_refused_and_under_two_are_not(folder: Path) -> None:
    with subprocess.Popen(command("review", str(folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO) as process:
        assert process.stdin is not None and process.stdout is not None
        assert any(TELLS in line for line in process.stdout)
        second = review(folder, ["q"])
        assert second.returncode == 1
        assert "is being written by another review" in second.stderr
        assert review(folder, ["q"], "--reviewer", "ben").returncode == 0
        process.communicate("q\n", timeout=20)


def test_the_report_of_two_reviewers(folder: Path) -> None:
    none = review(folder, [], "--report")
    assert (none.returncode, none.stdout) == (0, "not reviewed by people: subtext review DIR\n")
    assert not (folder / "review").exists()
    exhibits = sample(folder, 20, 1)
    lines = right(folder, exhibits)
    review(folder, flat(lines), "--reviewer", "anna", size=20)
    wrong = next(number for number, one in enumerate(exhibits) if one.query)
    lines[wrong] = [str(int(lines[wrong][0]) % 4 + 1)]
    review(folder, flat(lines), "--reviewer", "ben", size=20)
    done = review(folder, [], "--report")
    assert (done.returncode, done.stderr) == (0, "")
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["anna:", "10", "sessions,", "10", "questions,", "0", "skipped"] in table
    figures = {tuple(cells[:3]): cells[3:6] for cells in table}
    assert figures["all", "labels", "option"][:2] == ["20", "0.95"]
    assert figures["anna", "labels", "option"] == ["10", "1.00", "1.00"]
    assert figures["anna", "labels", "value"] == ["10", "1.00", "1.00"]
    assert figures["ben", "labels", "option"][:2] == figures["anna", "ben", "option"][:2] == ["10", "0.90"]
    assert figures["anna", "implicit", "outright"] == ["5", "1.00", "-"]
    assert "kappa is undefined" in done.stdout
    stored = json.loads((folder / "review" / "agreement.json").read_text("utf-8"))
    assert stored["state"] == "reviewed by people"
    assert stored["disagreed"] == [exhibits[wrong].record_id]
    assert [row["agreement"] for row in stored["rows"] if (row["people"], row["what"]) == ("ben", "option")] == [0.9]
    assert not list((folder / "review").glob(".*"))


def test_the_audit_says_what_people_found_and_the_card_once_it_is_written_again(folder: Path, tmp_path: Path) -> None:
    def audited() -> tuple[str, dict[str, Any]]:
        done = subprocess.run(
            command("audit", str(folder)),
            capture_output=True,
            text=True,
            cwd=REPO,
            check=False,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        return done.stdout, json.loads((folder / "audit.json").read_text("utf-8"))["review"]

    said, people = audited()
    assert "\nnot reviewed by people\n" in said and people == {"state": "not reviewed by people", "rows": []}
    assert "People: not reviewed by people." in (folder / "README.md").read_text("utf-8")
    typed = right(folder, sample(folder, SIZE, 1))
    review(folder, flat(typed))
    wrong = [["1"] if len(lines) == 1 else lines for lines in typed]
    review(folder, flat(wrong), "--reviewer", "ben")
    said, people = audited()
    rows = {(row["people"], row["against"], row["what"]): row for row in people["rows"]}
    assert people["state"] == "reviewed by people"
    found = rows["all", "labels", "option"]
    assert found["answers"] == 6 and found["records"] == 3 and found["low"] < found["kappa"] < found["high"]
    assert re.search(
        rf"all +labels +option +6 +{found['agreement']:.2f} +{found['kappa']:.2f} +{found['low']:.2f} to {found['high']:.2f}", said
    )
    sentence = review_text(people)
    assert (
        f"option against the labels κ {found['kappa']:.2f} (agreement {found['agreement']:.2f}, 95 % interval {found['low']:.2f} to"
        in sentence
    )
    place = tmp_path / "output" / "tiny"
    place.mkdir(parents=True)
    (folder / "catalog.duckdb").unlink()
    shutil.move(folder, place / "0.1.0")
    run_here(tiny(seeds={"builtin_count": 14}), tmp_path / "output")
    assert f"People: {sentence}." in (place / "0.1.0" / "README.md").read_text("utf-8")


def test_what_models_write_cannot_steer_the_terminal() -> None:
    written = StringIO()
    Terminal(Console(file=written, width=80), StringIO()).say("a\x1b[2J\x07b [red]c\nd\x9b31m")
    assert written.getvalue() == "a[2Jb [red]c\nd31m\n"


def test_every_key_of_what_is_kept_is_explained() -> None:
    section = (REPO / "docs" / "data.md").read_text("utf-8").partition("\n## Review\n")[2].partition("\n## ")[0]
    for record in (Answer, Agreement, AgreementRow, KindRow, Reviewer):
        for key in record.model_fields:
            assert f"`{key}`" in section, key
    for word in (*get_args(Asked), *get_args(ReviewState)):
        assert f"`{word}`" in section, word
