"""The journal: what was added is found again, whatever happened to the process, the disk or the file in between."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.call import Call
from schemas.errors import SubtextError
from store.journal import Entry, Journal
from tests.store.children import child, everything_below, output, refusal


def an_entry(name: str, reply: str | None = "a reply", problem: str = "", words: str = "words") -> Entry:
    call = Call(
        call_id=name, record_id=f"r{name}", prompt="expand/persona", prompt_hash="h", repair=0, generation=0, model="m", endpoint=0,
        seed=1, attempts=2, faults=("429",), prompt_tokens=30, cached_tokens=10, completion_tokens=5, cost_usd=0.25, latency_ms=12,
        finish_reason="stop",
    )  # fmt: skip
    return Entry(call, [{"role": "system", "content": "be"}, {"role": "user", "content": words}], reply, problem)


def keep(folder: Path, *entries: Entry) -> None:
    """Add all at once, in a journal of their own."""
    journal = Journal(folder)

    async def together() -> None:
        await asyncio.gather(*map(journal.add, entries))

    asyncio.run(together())
    journal.close()


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines(keepends=True)]


ENTRIES = {
    "a reply": an_entry("a"),
    "no reply but a problem": an_entry("b", None, "too long"),
    "an empty reply": an_entry("c", ""),
    "half a character": an_entry("d", "broken \ud83d in two", words="asked \udc00 too"),
    "lines and quotes": an_entry("e", 'one\ntwo\r\n"three" \u2028 \x00 \x1f é 😀'),
}


@pytest.mark.parametrize("what", ENTRIES)
def test_what_was_added_is_found_again_in_the_same_words(tmp_path: Path, what: str) -> None:
    entry = ENTRIES[what]
    keep(tmp_path, entry)
    again = Journal(tmp_path)
    assert again.find(entry.call.call_id) == entry
    assert again.found == [entry.call]
    assert len(lines(tmp_path)) == 1


def test_it_is_found_at_once_in_the_process_that_added_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    asyncio.run(journal.add(ENTRIES["a reply"]))
    assert journal.find("a") == ENTRIES["a reply"]
    assert journal.find("z") is None
    assert journal.found == [], "what was there before, not what came since"
    journal.close()


def test_each_process_has_a_segment_and_all_are_read_in_order(tmp_path: Path) -> None:
    for name in "abc":
        keep(tmp_path, an_entry(name))
    assert everything_below(tmp_path) == ["calls-00000.jsonl", "calls-00001.jsonl", "calls-00002.jsonl"]
    again = Journal(tmp_path)
    assert [call.call_id for call in again.found] == ["a", "b", "c"]
    assert all(again.find(name) == an_entry(name) for name in "abc")


def test_a_journal_that_is_only_read_leaves_nothing(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_line_cut_short_is_left_alone_and_the_next_goes_elsewhere(tmp_path: Path, cut: int) -> None:
    keep(tmp_path, an_entry("a"), an_entry("b"))
    segment = tmp_path / "calls-00000.jsonl"
    segment.write_bytes(segment.read_bytes()[:-cut])
    torn = segment.read_bytes()
    keep(tmp_path, an_entry("c"))
    again = Journal(tmp_path)
    assert [call.call_id for call in again.found] == ["a", "c"]
    assert again.find("b") is None
    assert segment.read_bytes() == torn


DAMAGE = {
    "no JSON": b"{nonsense\n", "no object": b"[1, 2]\n", "no call": b'{"reply": "x"}\n', "no such call": b'{"call": {"call_id": 7}}\n',
    "no text": b"\xff\xfe\n", "an empty line": b"\n",
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_line_is_named_with_its_file_and_place(tmp_path: Path, what: str) -> None:
    keep(tmp_path, an_entry("a"))
    segment = tmp_path / "calls-00000.jsonl"
    good = segment.read_bytes()
    segment.write_bytes(good + DAMAGE[what] + good)
    with pytest.raises(SubtextError, match=rf"calls-00000\.jsonl: byte {len(good)}: .*move the file away") as caught:
        Journal(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    segment.rename(tmp_path / "calls-00000-damaged.jsonl")
    keep(tmp_path, an_entry("b"))
    assert [call.call_id for call in Journal(tmp_path).found] == ["b"]


def test_a_file_that_was_taken_away_meanwhile_is_said(tmp_path: Path) -> None:
    keep(tmp_path, an_entry("a"))
    journal = Journal(tmp_path)
    (tmp_path / "calls-00000.jsonl").unlink()
    with pytest.raises(SubtextError, match=r"calls-00000\.jsonl"):
        journal.find("a")


def test_many_at_once_are_all_on_file_when_each_add_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    async def one(number: int) -> None:
        await journal.add(an_entry(str(number)))
        there = [json.loads(line)["call"]["call_id"] for line in lines(tmp_path)]
        assert str(number) in there

    async def together() -> None:
        await asyncio.gather(*(one(number) for number in range(300)))

    asyncio.run(together())
    journal.close()
    assert sorted(int(call.call_id) for call in Journal(tmp_path).found) == list(range(300))


def test_who_leaves_early_loses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    async def leave() -> None:
        left, stayed = (asyncio.create_task(journal.add(an_entry(name))) for name in "ab")
        await asyncio.sleep(0)
        left.cancel()
        await stayed
        with pytest.raises(asyncio.CancelledError):
            await left

    asyncio.run(leave())
    journal.close()
    assert [call.call_id for call in Journal(tmp_path).found] == ["a", "b"]


def test_void_raises_the_generation_for_good(tmp_path: Path) -> None:
    keep(tmp_path, an_entry("a"), an_entry("b"))
    journal = Journal(tmp_path)
    journal.void({"ra", "rz"})
    assert (journal.generation("ra"), journal.generation("rb")) == (1, 0)
    Journal(tmp_path).void({"ra"})
    keep(tmp_path, an_entry("c"))
    again = Journal(tmp_path)
    assert [again.generation(record) for record in ("ra", "rb", "rz")] == [2, 0, 1]
    assert [call.call_id for call in again.found] == ["a", "b", "c"], "the calls were paid for, and stay in the ledger"


WRITER = """
import asyncio, sys
from pathlib import Path
from store.journal import Journal
from tests.store.test_journal import an_entry
journal = Journal(Path(sys.argv[1]))
async def one(lane):
    for number in range(100_000):
        name = f"{lane}-{number}"
        await journal.add(an_entry(name, "x" * 3000))
        print(name, flush=True)
async def all_of_them():
    await asyncio.gather(*map(one, range(20)))
asyncio.run(all_of_them())
"""


@pytest.mark.parametrize("after", [1, 97, 800])
def test_what_was_said_to_be_kept_survives_a_kill(tmp_path: Path, after: int) -> None:
    with child(WRITER, tmp_path) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read().splitlines()[:-1]  # the last may be cut short
    journal = Journal(tmp_path)
    assert len(said) >= after
    assert not [name for name in said if journal.find(name) is None]
    keep(tmp_path, an_entry("later"))
    assert Journal(tmp_path).find("later")


TRACED = """
import asyncio, os, sys
from pathlib import Path
def seen(event, arguments):
    pass
from store.journal import Journal
from tests.store.test_journal import an_entry
journal = Journal(Path(sys.argv[1]))
async def together():
    await asyncio.gather(*(journal.add(an_entry(str(number))) for number in range(500)))
calls = []
sys.setprofile(None)
import threading
def profile(frame, event, argument):
    if event == "c_call" and getattr(argument, "__name__", "") == "fsync":
        calls.append(1)
threading.setprofile(profile)
sys.setprofile(profile)
asyncio.run(together())
sys.setprofile(None)
print(len(calls))
"""


def test_those_that_wait_together_share_a_sync(tmp_path: Path) -> None:
    syncs = int(output(TRACED, tmp_path))
    assert 1 <= syncs <= 10, "500 calls; the folder, its parent, and a few groups"
    assert len(Journal(tmp_path).found) == 500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB; skipped where this process may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_is_said_and_no_half_line_stays(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal")
    kept: list[str] = []
    refused: list[str] = []

    async def one(number: int) -> None:
        try:
            await journal.add(an_entry(str(number), "x" * 9000))
            kept.append(str(number))
        except SubtextError as error:
            refused.append(str(error))

    async def in_groups() -> None:
        for start in range(0, 60, 6):
            await asyncio.gather(*(one(number) for number in range(start, start + 6)))

    asyncio.run(in_groups())
    assert len(kept) + len(refused) == 60
    assert kept and refused
    assert all("disk is full" in said and "run the same command again" in said for said in refused)
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines(small_disk / "journal"))
    assert all(journal.find(name) is not None for name in kept)
    subprocess.run(["mount", "-o", "remount,size=5m", str(small_disk)], check=True)
    asyncio.run(journal.add(an_entry("after", "y" * 9000)))
    journal.close()
    again = Journal(small_disk / "journal")
    assert all(again.find(name) == an_entry(name, "x" * 9000) for name in kept)
    assert again.find("after") is not None


def test_a_file_size_limit_is_said(tmp_path: Path) -> None:
    said = refusal(
        "import asyncio\nfrom store.journal import Journal\nfrom tests.store.test_journal import an_entry\n"
        "asyncio.run(Journal(root).add(an_entry('a', 'x' * 50_000)))",
        tmp_path, 20_000,
    )  # fmt: skip
    assert said.startswith("SubtextError: cannot write")
    assert "file-size limit" in said
    assert (tmp_path / "calls-00000.jsonl").read_bytes() == b""


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(SubtextError, match="a file is in the way"):
        asyncio.run(Journal(tmp_path / "file").add(an_entry("a")))


def test_lines_lie_one_after_the_other(tmp_path: Path) -> None:
    keep(tmp_path, *(an_entry(str(number), "é" * number) for number in range(20)))
    journal = Journal(tmp_path)
    found = [journal.find(str(number)) for number in range(20)]
    replies = [entry.reply for entry in found if entry is not None]
    assert all(len(after or "") == len(before or "") + 1 for before, after in pairwise(replies))
    assert len(replies) == 20
