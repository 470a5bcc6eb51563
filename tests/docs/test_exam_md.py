"""`docs/exam.md` against the code: the file's fields, the options of its commands, its links."""

import re
from inspect import signature

from click.testing import CliRunner

from flows.cli import main
from flows.exam import exam_command
from memory.agents import Spec
from memory.inspect_task import subtext_exam
from schemas.exam import ExamResult
from store.signing import FIELD
from tests.runs import REPO

TEXT = (REPO / "docs" / "exam.md").read_text(encoding="utf-8")


def test_every_field_of_the_file_stands_in_the_page_and_no_other() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == [*ExamResult.model_fields, FIELD]


def test_the_commands_have_the_options_and_the_agents_are_agents() -> None:
    known = {name for option in exam_command.params for name in option.opts}
    lines = re.findall(r"^subtext exam .*$", TEXT, re.MULTILINE)
    assert len(lines) == 5
    assert {name for line in lines for name in re.findall(r"--\w+", line)} <= known
    assert {name for name in re.findall(r"`(--\w+)", TEXT) if name != "--agent"} <= known
    for quoted, plain in re.findall(r'--agent (?:"([^"]+)"|(\S+))', "\n".join(lines)):
        assert Spec.of(quoted or plain).kind in ("command", "llm")
    assert CliRunner().invoke(main, ["exam", "--help"]).exit_code == 0


def test_the_task_takes_what_the_page_gives_it() -> None:
    given = set(re.findall(r"-T (\w+)=", TEXT))
    assert given and given <= signature(subtext_exam).parameters.keys()


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (REPO / "docs" / link).exists(), link
