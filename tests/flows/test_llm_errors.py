"""What a model's server can answer, seen from the command line: one clear line or a rejected record; and the key, which nobody repeats."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.llm import FAULTS, arguments, contents, faults_counted, kind_of, rejects, root, run, said, started, wait_for, write_here
from tests.runs import subtext
from tests.servers.http import HttpServer, Reply
from tests.servers.model import ScriptedModel
from tests.servers.proxy import ALL, FaultProxy
from tests.willing import willing

KEY = "sk-canary-6b1f0c9a7d3e4428"
TOO_LONG = "This model's maximum context length is 4096 tokens, you requested 9000"


def no_sessions_of_facts(request: dict[str, Any]) -> Any:
    return Reply.error(400, TOO_LONG) if kind_of(request) == "converse/update" else willing(request)


SERVERS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong key": ({"echo_status": 401}, "answered 401: the key is missing or wrong: set OPENAI_API_KEY"),
    "forbidden": ({"echo_status": 403}, "answered 403: the key may not use this model"),
    "no such path": ({"echo_status": 404}, "answered 404: no model 'scripted' there, or author.base_url is not the address"),
    "another model": ({"name": "other"}, "does not serve 'scripted'; it serves other (author.model)"),
    "no schemas": (
        {"reply": lambda _: Reply.error(400, "response_format of type json_schema is not supported")},
        "answered 400: the server does not take such requests",
    ),
}


@pytest.mark.parametrize("what", SERVERS)
def test_what_stops_the_run_is_one_clear_line(tmp_path: Path, what: str) -> None:
    options, expected = SERVERS[what]
    with ScriptedModel(**{"reply": willing, **options}) as model:
        done = run(tmp_path, model, more=("--until", "expand"))
    assert done.returncode == 1
    assert expected in said(done.stderr)
    assert model.base_url in done.stderr
    assert model.calls <= 4, "no request is sent again, and none after it"


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    gone = ScriptedModel().start()
    gone.close()
    done = run(tmp_path, gone, more=("--until", "expand"))
    assert done.returncode == 1
    assert f"no server answers at {gone.base_url}" in said(done.stderr)


@pytest.mark.parametrize(("author", "expected"), [({"model": None}, "author.model"), ({"base_url": None}, "author.base_url")])
def test_a_model_needs_a_name_and_an_address(tmp_path: Path, author: dict[str, Any], expected: str) -> None:
    done = run(tmp_path, HttpServer(None), author=author)  # type: ignore[arg-type]
    assert done.returncode == 2
    assert expected in said(done.stderr)
    assert not (tmp_path / "output").exists()


def test_a_request_that_is_too_long_is_one_rejected_record(tmp_path: Path) -> None:
    with ScriptedModel(reply=no_sessions_of_facts) as model:
        outcome = write_here(tmp_path, model)
    refused = rejects(outcome.folder.root, "converse", "reason, retry, detail LIKE '%maximum context length%'")
    asked = sum(kind_of(request) == "converse/update" for request in model.requests)
    assert refused == [("context_length", None, True)] * asked != []
    assert outcome.published


def commands_that_run() -> str:
    """The command lines of all processes."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue  # it has ended
    return "\n".join(lines)


def assert_untold(out: Path, *said_by: str) -> None:
    """The key is nowhere below `out`, the .env file aside, nor in what a run said: not even its beginning, as a cut line would have it."""
    told = KEY[:14]
    assert not any(told in words for words in said_by), said_by
    assert [path for path, text in contents(out) if told in text and path.name != ".env"] == []


def echo(request: dict[str, Any]) -> Any:
    """Some requests are refused in words that repeat the key; the others are answered."""
    return Reply.error(400, f"{TOO_LONG} (Bearer {KEY})") if kind_of(request) == "converse/update" else willing(request)


def test_the_key_is_sent_and_told_nobody(tmp_path: Path) -> None:
    with ScriptedModel(reply=echo, api_key=KEY, base_s=0.02) as model:
        process = started(tmp_path, model, env={"OPENAI_API_KEY": KEY})
        wait_for(lambda: model.calls > 5, process)
        seen = commands_that_run()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "flows.cli" in seen and KEY not in seen
    assert model.authorizations == {f"Bearer {KEY}": model.calls}
    assert any("(Bearer ***)" in detail for (detail,) in rejects(root(tmp_path), "converse", "detail"))
    assert_untold(tmp_path, stdout, stderr)


@pytest.mark.parametrize("before", [0, 230])
def test_a_key_that_is_refused_is_not_repeated(tmp_path: Path, before: int) -> None:
    """Wherever in the server's words it stands: they are cut after 300 characters."""
    with ScriptedModel(reply=lambda _: Reply.error(401, f"{'x' * before} wrong key {KEY}")) as model:
        done = subtext("run", *arguments(tmp_path, model), "--until", "expand", OPENAI_API_KEY=KEY)
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in said(done.stderr)
    assert_untold(tmp_path, done.stdout, done.stderr)


def test_the_key_may_stand_in_a_file_that_stays_as_it_is(tmp_path: Path) -> None:
    settings = f"# mine\r\nOTHER=1\nMY_KEY='{KEY}'  # of the lab\n\n".encode()
    (tmp_path / ".env").write_bytes(settings)
    with ScriptedModel(reply=willing, api_key=KEY) as model:
        author = {"api_key_env": "MY_KEY"}
        done = subtext("run", *arguments(tmp_path, model, author=author), "--until", "expand", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert model.authorizations == {f"Bearer {KEY}": model.calls}
        model.echo_status = 401
        failed = subtext("run", *arguments(tmp_path, model, author=author), cwd=tmp_path)
    assert failed.returncode == 1
    assert "answered 401" in said(failed.stderr) and "MY_KEY" in failed.stderr
    assert (tmp_path / ".env").read_bytes() == settings
    assert_untold(tmp_path, done.stdout, done.stderr, failed.stdout, failed.stderr)


def test_every_kind_of_fault_is_got_over_and_counted(tmp_path: Path, model: ScriptedModel) -> None:
    with FaultProxy(model.url, share=0.2, stall_s=1) as proxy:
        done = run(tmp_path, proxy)
        injected = Counter(proxy.injected)
    assert done.returncode == 0, done.stderr
    assert set(injected) == set(ALL)
    assert faults_counted(root(tmp_path)) == {kind: sum(injected[name] for name in names) for kind, names in FAULTS.items()}
    for stage, figures in json.loads((root(tmp_path) / "summary.json").read_text(encoding="utf-8"))["stages"].items():
        refused = Counter(kind for (kind,) in rejects(root(tmp_path), stage, "record_type")) if stage != "publish" else Counter()
        for kind, counts in figures["records"].items():
            assert counts["requested"] == counts["kept"] + counts["rejected"], (stage, kind)
            assert refused[kind] == counts["rejected"], (stage, kind)
