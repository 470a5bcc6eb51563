"""The seeds stage: every line is kept or rejected with its reason, errors name file and line, splits come from the text alone."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, product
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.run import Run, make_run
from flows.seeds import composed_seeds, hashed_split, read_shards, seeds_all, split_quotas
from schemas.arrow import from_table
from schemas.config import Config
from schemas.errors import InputError
from schemas.ids import normalise, persona_id, seed_id
from schemas.outcome import Reject
from schemas.seed import SPLITS, Seed, Split
from store.folder import open_run
from store.parts import read_part

JOBS = "nurse baker welder judge tailor beekeeper surgeon plumber".split()
TOWNS = "Galway Lagos Cebu Osaka Quito Tromsø Perth Pune".split()
TEXTS = [f"A {job} from {town}" for job, town in product(JOBS, TOWNS)]
GREATEST = 1_000_000
NewRun = Callable[..., Run]


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[NewRun]:
    """Makes a run on a folder of its own from settings of `seeds`."""
    with ExitStack() as stack:

        def make(**seeds: Any) -> Run:
            version = f"v{len(list((tmp_path / 'out').glob('*/*')))}"
            config = Config.model_validate({"dataset": {"name": "d", "version": version}, "seeds": seeds})
            return stack.enter_context(make_run(config, stack.enter_context(open_run(tmp_path / "out", config))))

        yield make


def jsonl(path: Path, texts: Sequence[object]) -> str:
    path.write_text("".join(json.dumps({"persona": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def kept(run: Run) -> list[Seed]:
    """The seeds that the stage keeps; nothing may be lost on the way."""
    count = seeds_all(run).counts["seed"]
    seeds = list(read_part(run.folder, "seeds", 0, Seed))
    assert count.kept == len(seeds)
    assert count.rejected == len(rejected(run))
    assert count.requested == count.kept + count.rejected
    return seeds


def rejected(run: Run) -> Sequence[Reject]:
    return from_table(pq.read_table(run.folder.rejects("seeds", 0)), Reject)


def splits_of(seeds: Sequence[Seed]) -> dict[str, Split]:
    return {seed.text: seed.split for seed in seeds}


BROKEN = [
    ("s.jsonl", b'{"persona": "A nurse"}\n{"persona": "A ba\n', 2, "not JSON"),
    ("s.jsonl", b'{"persona": "A nurse"}\n\n{"persona": "Ein B\xe4cker"}\n', 3, "not UTF-8"),
    ("s.jsonl", '{"persona": "A nurse"}\n'.encode("utf-16"), 1, "not UTF-8"),
    ("s.jsonl", b'{"persona": "A nurse"}\n{"text": "A baker"}\n', 2, "no 'persona' in it"),
    ("s.jsonl", b'\xef\xbb\xbf\n{"persona": "A nurse"}\n{"persona": 7}\n', 1, "not JSON"),
    ("s.jsonl", b'{"persona": "A nurse"}\n{"persona": 7}\n', 2, "not text but int"),
    ("s.jsonl", b'{"persona": "A nurse"}\n{"persona": "' + b"x" * GREATEST + b'"}\n', 2, "longer than 1,000,000 bytes"),
    ("s.csv", b"id,persona\n1,A nurse\n2,\n", 3, "'persona' is empty"),
    ("s.csv", b"id,persona\n1,Ein B\xe4cker\n", 2, "not UTF-8"),
    ("s.csv", b"id,text\n1,A nurse\n", 1, "no column 'persona' (it has: id, text)"),
]


@pytest.mark.parametrize(("name", "content", "line", "why"), BROKEN)
def test_a_broken_line_stops_the_stage_with_file_line_reason_and_way_out(
    tmp_path: Path, new_run: NewRun, name: str, content: bytes, line: int, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        seeds_all(new_run(path=str(path)))
    said = str(caught.value)
    assert said.startswith(f"{path}: line {line}: ")
    assert why in said
    assert "seeds.on_error=skip" in said or "seeds.text_field" in said
    assert "\n" not in said


def test_the_first_broken_line_is_named_and_the_others_are_counted(tmp_path: Path, new_run: NewRun) -> None:
    path = jsonl(tmp_path / "s.jsonl", ["A nurse", 1, 2, 3])
    with pytest.raises(InputError, match=r"line 2: .* \(and 2 more such lines\)"):
        seeds_all(new_run(path=path))


def test_a_broken_cell_of_a_parquet_file_is_named_by_its_row(tmp_path: Path, new_run: NewRun) -> None:
    pq.write_table(pa.table({"persona": ["A nurse", None]}), tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"s\.parquet: line 2: 'persona' is empty"):
        seeds_all(new_run(path=str(tmp_path / "s.parquet")))


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize(
    ("name", "content"), [("s.jsonl", b""), ("s.jsonl", b"\n\n"), ("s.csv", b"persona\n"), ("s.txt", b"A nurse\n"), ("none.csv", None)]
)
def test_a_file_without_a_seed_is_an_input_error_that_names_it_whatever_on_error(
    tmp_path: Path, new_run: NewRun, name: str, content: bytes | None, on_error: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = new_run(path=str(tmp_path / name), on_error=on_error)
    with pytest.raises(InputError) as caught:
        seeds_all(run)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert not run.folder.part("seeds", 0).exists()


def test_with_skip_each_bad_line_is_one_rejected_row_that_names_it(tmp_path: Path, new_run: NewRun) -> None:
    path = tmp_path / "s.jsonl"
    rows = [json.dumps({"persona": text}).encode() for text in ("A nurse", "A baker", "a  NURSE.", 7, None)]
    bad = [b"broken", b'{"persona": "B\xe4cker"}', b"[]", b'{"text": "A judge"}', b'{"persona": "' + b"x" * GREATEST + b'"}', b""]
    path.write_bytes(b"\n".join([*rows, *bad, b'{"persona": "A welder"}']))
    run = new_run(path=str(path), on_error="skip")
    assert {seed.text for seed in kept(run)} == {"A nurse", "A baker", "A welder"}
    assert {reject.record_id: reject.reason for reject in rejected(run)} == {
        "s.jsonl:3": "duplicate", **{f"s.jsonl:{number}": "unreadable" for number in (4, 5, 6, 7, 8, 9, 10)},
    }  # fmt: skip
    assert all(reject.record_type == "seed" and reject.stage == "seeds" and reject.detail for reject in rejected(run))


def test_with_skip_a_file_of_nothing_but_bad_lines_is_an_input_error(tmp_path: Path, new_run: NewRun) -> None:
    with pytest.raises(InputError, match=r"no usable seed in 2 line\(s\)"):
        seeds_all(new_run(path=jsonl(tmp_path / "s.jsonl", [1, 2]), on_error="skip"))


def test_duplicates_go_and_say_what_they_repeat_and_how_much(tmp_path: Path, new_run: NewRun) -> None:
    long = "A retired teacher who restores wooden boats in the winter and keeps a small flock of brown hens behind the old barn"
    run = new_run(path=jsonl(tmp_path / "s.jsonl", [long, "A nurse", long + " with her sister", "A NURSE"]))
    assert {seed.text for seed in kept(run)} == {long, "A nurse"}
    near, exact = sorted(rejected(run), key=lambda reject: reject.record_id)
    assert (near.record_id, near.reason, near.duplicate_of) == ("s.jsonl:3", "near_duplicate", seed_id(long))
    assert near.similarity
    assert 0.85 <= near.similarity < 1
    assert (exact.record_id, exact.reason, exact.duplicate_of, exact.similarity) == ("s.jsonl:4", "duplicate", seed_id("A nurse"), 1.0)


def test_every_kind_of_source_gives_the_same_people(tmp_path: Path, new_run: NewRun) -> None:
    texts = TEXTS[:6]
    pq.write_table(pa.table({"persona": texts}), tmp_path / "s.parquet")
    (tmp_path / "s.csv").write_text("persona\n" + "\n".join(texts), encoding="utf-8")
    datasets.Dataset.from_dict({"persona": texts}).save_to_disk(tmp_path / "saved")
    paths = [jsonl(tmp_path / "s.jsonl", texts), *(str(tmp_path / name) for name in ("s.parquet", "s.csv", "saved"))]
    found = [kept(new_run(path=path)) for path in paths]
    assert [{(seed.seed_id, seed.text, seed.split) for seed in seeds} for seeds in found] == [
        {(seed.seed_id, seed.text, seed.split) for seed in found[0]}
    ] * 4
    assert [{seed.source for seed in seeds} for seeds in found] == [{"s.jsonl"}, {"s.parquet"}, {"s.csv"}, {"saved"}]


def test_source_and_licence_are_carried_and_the_text_is_tidied(tmp_path: Path, new_run: NewRun) -> None:
    path = jsonl(tmp_path / "s.jsonl", ["  A  nurse\n from Galway "])
    (seed,) = kept(new_run(path=path, source="hub", license="CC-BY-4.0"))
    assert (seed.text, seed.source, seed.license) == ("A nurse from Galway", "hub", "CC-BY-4.0")
    assert seed.seed_id == seed_id("A nurse from Galway")
    assert {seed.license for seed in kept(new_run(path=path))} == {None}
    assert {(seed.source, seed.license) for seed in kept(new_run(builtin_count=3))} == {("builtin", "Apache-2.0")}


def test_the_hash_spreads_five_thousand_texts_about_72_8_20() -> None:
    counts = Counter(map(hashed_split, islice(composed_seeds(1), 5000)))
    assert abs(counts["train"] / 5000 - 0.72) < 0.02
    assert abs(counts["validation"] / 5000 - 0.08) < 0.012
    assert abs(counts["test"] / 5000 - 0.20) < 0.018


def test_a_split_depends_on_the_text_and_not_on_its_spelling() -> None:
    for text in TEXTS:
        assert hashed_split(text.upper() + ".") == hashed_split(f" {normalise(text)}") == hashed_split(text)


def test_no_seed_moves_when_seeds_are_added_and_the_order_changes(tmp_path: Path, new_run: NewRun) -> None:
    before = splits_of(kept(new_run(path=jsonl(tmp_path / "a.jsonl", TEXTS[:40]))))
    after = splits_of(kept(new_run(path=jsonl(tmp_path / "b.jsonl", TEXTS[::-1]))))
    assert len(before) == 40
    assert len(after) == len(TEXTS)
    assert set(before.values()) == set(SPLITS)
    assert before == {text: after[text] for text in before} == {text: hashed_split(text) for text in before}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("number", [3, 4, 5])
def test_every_split_gets_a_persona_even_where_the_hash_gives_it_none(tmp_path: Path, new_run: NewRun, split: Split, number: int) -> None:
    texts = list(islice((text for text in composed_seeds(3) if hashed_split(text) == split), number))
    found = Counter(seed.split for seed in kept(new_run(path=jsonl(tmp_path / "s.jsonl", texts))))
    assert found == {**dict.fromkeys(SPLITS, 1), split: number - 2}


def test_an_earlier_versions_splits_are_honoured_and_new_seeds_follow_the_hash(tmp_path: Path, new_run: NewRun) -> None:
    turned: dict[Split, Split] = {"train": "test", "test": "validation", "validation": "train"}
    earlier = {text: turned[hashed_split(text)] for text in TEXTS[:30]}
    splits = tmp_path / "splits.parquet"
    pq.write_table(pa.table({"persona_id": [persona_id(text, 0) for text in earlier], "split": list(earlier.values())}), splits)
    found = splits_of(kept(new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS), splits_from=str(splits))))
    assert found == {text: earlier.get(text) or hashed_split(text) for text in TEXTS}


def test_an_earlier_version_is_honoured_by_whichever_persona_of_a_seed_it_published(tmp_path: Path, new_run: NewRun) -> None:
    text = next(text for text in TEXTS if hashed_split(text) == "train")
    splits = tmp_path / "splits.parquet"
    pq.write_table(pa.table({"persona_id": [persona_id(text, 4)], "split": ["validation"]}), splits)
    found = splits_of(kept(new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS), splits_from=str(splits))))
    assert found == {other: "validation" if other == text else hashed_split(other) for other in TEXTS}


def test_no_seed_of_an_earlier_version_is_moved_to_an_empty_split(tmp_path: Path, new_run: NewRun) -> None:
    splits = tmp_path / "splits.parquet"
    pq.write_table(pa.table({"persona_id": [persona_id(text, 0) for text in TEXTS[:5]], "split": ["train"] * 5}), splits)
    found = splits_of(kept(new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS[:5]), splits_from=str(splits))))
    assert set(found.values()) == {"train"}


@pytest.mark.parametrize("content", [None, b"", b"persona_id,split\n", {"persona_id": ["p1"]}])
def test_splits_that_cannot_be_read_are_an_input_error_that_names_the_file(
    tmp_path: Path, new_run: NewRun, content: bytes | dict[str, list[str]] | None
) -> None:
    splits = tmp_path / "splits.parquet"
    if isinstance(content, dict):
        pq.write_table(pa.table(content), splits)
    elif content is not None:
        splits.write_bytes(content)
    with pytest.raises(InputError, match=r"splits\.parquet: seeds\.splits_from must be a splits\.parquet of an earlier version"):
        seeds_all(new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS[:3]), splits_from=str(splits)))


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 63])
def test_a_limit_draws_that_many_over_the_splits_and_rejects_the_rest(tmp_path: Path, new_run: NewRun, limit: int) -> None:
    run = new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS), limit=limit)
    found = kept(run)
    assert len(found) == limit
    assert {reject.reason for reject in rejected(run)} == {"not_drawn"}
    assert len({seed.split for seed in found}) == (3 if limit >= 3 else 1)


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 24, 1000])
def test_quotas_add_up_and_leave_no_split_out_of_three_or_more(total: int) -> None:
    quotas = split_quotas(total)
    assert sum(quotas.values()) == total
    assert min(quotas.values()) >= (1 if total >= 3 else 0)


@pytest.mark.parametrize("total", [3, 24, 400])
def test_builtin_seeds_are_as_many_as_asked_for_in_all_splits(new_run: NewRun, total: int) -> None:
    run = new_run(builtin_count=total)
    found = kept(run)
    assert len(found) == total
    assert {seed.split for seed in found} == set(SPLITS)
    assert all(seed.split == hashed_split(seed.text) for seed in found)


def test_the_stage_is_done_once_and_again_when_the_file_changes(tmp_path: Path, new_run: NewRun) -> None:
    path = jsonl(tmp_path / "s.jsonl", TEXTS[:4])
    run = new_run(path=path)
    assert not seeds_all(run).reused
    assert seeds_all(run).reused
    jsonl(Path(path), TEXTS[:5])
    assert not seeds_all(run).reused
    assert len(kept(run)) == 5


def test_personas_come_in_shards_in_order_of_their_ids_whatever_the_order_of_the_lines(tmp_path: Path, new_run: NewRun) -> None:
    paths = [jsonl(tmp_path / "up.jsonl", TEXTS[:10]), jsonl(tmp_path / "down.jsonl", TEXTS[:10][::-1])]
    runs = [new_run(path=path, source="people", personas_per_seed=2) for path in paths]
    assert kept(runs[0]) == kept(runs[1])
    first, second = ([[start.persona_id for start in shard] for shard in read_shards(run)] for run in runs)
    assert first == second
    assert [len(shard) for shard in first] == [8, 8, 4]
    ids = [persona for shard in first for persona in shard]
    assert ids == sorted({persona_id(text, copy) for text in TEXTS[:10] for copy in range(2)})
