"""Parts: kept while what went in and what came out are as they were, made again otherwise, and never short of a record."""

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import SubtextError
from schemas.outcome import RecordType, Reject, Survivor, Verdict
from store.folder import RunFolder
from store.parts import Produced, Receipt, drop_surplus, ensure_part, file_hash, read_part
from tests.store.children import everything_below, refusal

INPUTS = ("config", 1)


class Work:
    """The work on a shard of three seeds, one of which is rejected; counts how often it is done."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.times = folder, 0

    def __call__(self) -> Produced:
        self.times += 1
        rows = [Survivor(record_id=name, record_type="seed") for name in ("a", "b")]
        said = [Verdict(record_id="c", validator="implicit", passed=False, reason="said outright")]
        return Produced(rows, Survivor, [reject("c", "seed")], {"seed": 3}, {"seed": 2}, said)

    def ensure(self, *inputs: object, index: int = 0) -> Receipt:
        return ensure_part(self.folder, "seeds", index, inputs or INPUTS, self)


def reject(record_id: str, kind: RecordType) -> Reject:
    return Reject(record_id=record_id, record_type=kind, stage="seeds", reason="duplicate", detail="repeats a")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(RunFolder(tmp_path))


def test_a_part_gives_back_its_rows_and_its_rejects_and_its_counts(work: Work) -> None:
    receipt = work.ensure()
    assert [row.record_id for row in read_part(work.folder, "seeds", 0, Survivor)] == ["a", "b"]
    assert (receipt.counts["seed"].requested, receipt.counts["seed"].kept, receipt.counts["seed"].rejected) == (3, 2, 1)
    assert receipt.content == file_hash(work.folder.part("seeds", 0))
    assert not receipt.reused


def test_a_finished_part_is_not_made_again(work: Work) -> None:
    first = work.ensure()
    second = work.ensure()
    assert work.times == 1
    assert second.reused
    assert (second.key, second.content, second.rejects, second.counts) == (first.key, first.content, first.rejects, first.counts)


@pytest.mark.parametrize("inputs", [("config", 2), ("config",), ("config", 1, ""), ("confi", "g1")])
def test_a_part_is_made_again_when_what_goes_in_changes(work: Work, inputs: tuple[object, ...]) -> None:
    first = work.ensure()
    assert work.ensure(*inputs).key != first.key
    assert work.times == 2
    assert work.ensure(*inputs).reused


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, altered, emptied, Path.unlink])
@pytest.mark.parametrize("which", ["part", "rejects", "verdicts", "receipt"])
def test_a_part_that_was_harmed_is_found_and_made_again(work: Work, which: str, harm: Callable[[Path], None]) -> None:
    before = work.ensure()
    path: Path = getattr(work.folder, which)("seeds", 0)
    if which == "receipt" and harm is altered:
        path.write_text(path.read_text(encoding="utf-8").replace(before.content, before.rejects), encoding="utf-8")
    elif which == "receipt" and harm is cut:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        harm(path)
    after = work.ensure()
    assert work.times == 2
    assert not after.reused
    assert (after.content, after.rejects, after.verdicts) == (before.content, before.rejects, before.verdicts) == (
        file_hash(work.folder.part("seeds", 0)), file_hash(work.folder.rejects("seeds", 0)), file_hash(work.folder.verdicts("seeds", 0)),
    )  # fmt: skip
    assert work.ensure().reused


def test_a_receipt_counts_for_its_own_shard_and_stage_only(work: Work) -> None:
    work.ensure()
    work.ensure(index=1)
    assert ensure_part(work.folder, "expand", 0, INPUTS, work).key != work.ensure().key
    assert work.times == 3


def test_the_same_work_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = Work(RunFolder(tmp_path / "1")).ensure(), Work(RunFolder(tmp_path / "2")).ensure()
    assert (one.content, one.rejects, one.verdicts) == (two.content, two.rejects, two.verdicts)


@pytest.mark.parametrize(("requested", "kept"), [(4, 2), (2, 2), (3, 3), (3, 1)])
def test_a_record_that_is_unaccounted_for_stops_the_work_and_no_part_is_written(tmp_path: Path, requested: int, kept: int) -> None:
    produced = Produced([], Survivor, [reject("c", "seed")], {"seed": requested}, {"seed": kept})
    with pytest.raises(SubtextError, match=f"{requested} seed records requested, but {kept} kept and 1 rejected"):
        ensure_part(RunFolder(tmp_path), "seeds", 0, INPUTS, lambda: produced)
    assert everything_below(tmp_path) == []


def test_each_record_type_is_counted_by_itself(tmp_path: Path) -> None:
    rejects = [reject("f", "fact"), reject("p", "persona"), reject("g", "fact")]
    counts = Produced([], Survivor, rejects, {"persona": 2, "fact": 5}, {"persona": 1, "fact": 3}).counts()
    assert {kind: (count.requested, count.kept, count.rejected) for kind, count in counts.items()} == {
        "persona": (2, 1, 1),
        "fact": (5, 3, 2),
    }
    with pytest.raises(SubtextError, match="4 fact records"):
        Produced([], Survivor, rejects, {"persona": 3, "fact": 4}, {"persona": 2, "fact": 3}).counts()


def test_work_that_fails_leaves_the_part_as_it_was(work: Work) -> None:
    before = work.ensure()

    def fails() -> Produced:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        ensure_part(work.folder, "seeds", 0, ("other",), fails)
    assert work.ensure().reused
    assert file_hash(work.folder.part("seeds", 0)) == before.content


def test_past_the_file_size_limit_there_is_neither_a_receipt_nor_a_piece_of_the_part(tmp_path: Path) -> None:
    said = refusal(
        "from schemas.outcome import Survivor\nfrom store.folder import RunFolder\nfrom store.parts import Produced, ensure_part\n"
        "rows = [Survivor(record_id=f'{i * 7919 % 10007}', record_type='seed') for i in range(9000)]\n"
        "ensure_part(RunFolder(root), 'seeds', 0, (), lambda: Produced(rows, Survivor, [], {}, {}))",
        tmp_path,
        limit=10_000,
    )
    assert said.startswith(f"SubtextError: cannot write {tmp_path / 'stages' / 'seeds' / 'part-00000.parquet'}: the file would pass")
    assert everything_below(tmp_path) == []


def test_surplus_parts_go_with_their_rejects_verdicts_and_receipts_and_the_others_stay(work: Work) -> None:
    for index in range(4):
        work.ensure(index=index)
    drop_surplus(work.folder, "seeds", keep=2)
    assert everything_below(work.folder.root) == sorted(
        f"{place}/seeds/part-0000{index}.{ending}"
        for place, ending in (("stages", "parquet"), ("stages", "json"), ("rejects", "parquet"), ("verdicts", "parquet"))
        for index in range(2)
    )


@pytest.mark.parametrize("left", ["rejects", "verdicts"])
def test_what_a_killed_clean_up_left_behind_goes_too(work: Work, left: str) -> None:
    for index in range(2):
        work.ensure(index=index)
    work.folder.receipt("seeds", 1).unlink()
    for name in {"part", "rejects", "verdicts"} - {left}:  # as far as a clean-up came that was killed
        getattr(work.folder, name)("seeds", 1).unlink()
    drop_surplus(work.folder, "seeds", keep=1)
    assert not getattr(work.folder, left)("seeds", 1).exists()


@pytest.mark.parametrize(("rejects", "kept"), [([reject("f", "fact")], {"seed": 0}), ([], {"seed": 0, "fact": 1})])
def test_a_record_of_a_type_that_nobody_requested_stops_the_work(rejects: list[Reject], kept: dict[RecordType, int]) -> None:
    with pytest.raises(SubtextError, match="fact"):
        Produced([], Survivor, rejects, {"seed": 0}, kept).counts()
