"""Recompute the rule-based figures of a dataset's audit from its Parquet, by data.md and quality.md alone, and compare with audit.json.

Needs Python 3.11 and pyarrow, nothing of the pipeline. Left out: near duplicates, and what needs embeddings or a language model.
"""

import argparse
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace as Row

import pyarrow.parquet as pq

SCENARIOS = """personal_email professional_email chat_message social_media_post creative_writing professional_writing translation
    trouble_consult knowledge_query coding_help data_or_spreadsheet planning""".split()
NO_CONTENT, WORD = {*"a an the of and or in on at to for with without my his her their own no not".split()}, re.compile(r"\w+")


def rows(root: Path, table: str) -> Iterator[Row]:
    """The rows of `data/<table>/<split>-*.parquet`, with that split, and a persona's `split` as it is. Moments become text that sorts."""
    for path in sorted(root.glob(f"data/{table}/*.parquet")):
        split, text = path.name.split("-")[0], json.dumps(pq.read_table(path).to_pylist(), default=str)
        yield from json.loads(text, object_hook=lambda fields, split=split: Row(**{"in_split": split, "split": split, **fields}))


def normalised(text: str | None) -> str | None:
    """NFKC, case folded, single spaces, no full stops or spaces at the end."""
    return None if text is None else " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(". ")


def share(values: Sequence[float]) -> float | None:
    """Their mean, which of truths is the share that holds; None where there are none."""
    return sum(values) / len(values) if values else None


def variation(found: Sequence[Hashable], plan: Mapping[Hashable, float]) -> float | None:
    """Total variation between the shares of kinds found and those planned; None where there are none."""
    counts, n, planned = Counter(found), len(found), sum(plan.values())
    return sum(abs(counts[kind] / n - plan.get(kind, 0) / planned) for kind in {*counts, *plan}) / 2 if n and planned else None


def belief(sessions: Sequence[Row], topic: Mapping[str, Row]) -> tuple[str | None, str]:
    """What a perfect reader of `sessions`, in order of time, believes (a value or None), and why. `topic`: the facts that count, by id."""
    forgets = [place for place, one in enumerate(sessions) if one.role == "forget" and topic.keys() & {*one.fact_ids}]
    since = [one for one in sessions[forgets[-1] + 1 if forgets else 0 :] if one.role in ("evidence", "update") and one.owner == "self"]
    read, told = Counter[str](), []
    for session, fact in ((one, topic[name]) for one in since for name in one.fact_ids if name in topic):
        read[fact.fact_id] += 1
        if fact.status == "true" and (session.cue != "faint" or 1 < fact.cues_needed <= read[fact.fact_id]):
            told.append(fact)
    if told:
        return (normalised(told[-1].value), "told") if told[-1].repeatable else (None, "secret")
    trapped = any(topic.keys() & {*one.trap_fact_ids} for one in sessions)
    return None, "forgotten" if forgets else "too_little" if read else "not_the_users" if trapped else "never_told"


class Dataset:
    """The published tables, and every question at its places in histories."""

    def __init__(self, root: Path) -> None:
        self.root, self.config = root, json.loads((root / "manifest.json").read_text("utf-8"))["config"]
        names = ("personas", "facts", "sessions", "questions", "histories_*")
        self.personas, self.facts, self.sessions, self.questions, histories = self.tables = [[*rows(root, name)] for name in names]
        for one in self.sessions:
            one.said = {who: "\n".join(turn.content for turn in one.messages if turn.role == who) for who in ("user", "assistant")}
        self.fact, self.session = {one.fact_id: one for one in self.facts}, {one.session_id: one for one in self.sessions}
        known = {one.question_id: one for one in self.questions}
        self.placed = [(known[at.question_id], history, at) for history in histories for at in history.questions if at.question_id in known]
        self.unplaced = known.keys() - {question.question_id for question, _, _ in self.placed}

    def solve(self, question: Row, history: Row) -> tuple[bool, bool]:
        """Whether the labels tell the gold, and whether that hangs on the evidence and on nothing else."""
        read = [self.session[name] for name in history.session_ids if name in self.session]
        facts = [self.fact[name] for one in read for name in one.fact_ids + one.trap_fact_ids if name in self.fact]
        values, asked_of = [normalised(option.value) for option in question.options], question.attribute
        topic = {one.fact_id: one for one in facts if (one.attribute == asked_of if asked_of else normalised(one.value) in values)}
        bearing = [one for one in read if one.started_at < question.asked_at and topic.keys() & {*one.fact_ids, *one.trap_fact_ids}]
        bearing.sort(key=lambda one: (one.started_at, one.session_id))
        others = [one for one in bearing if one.session_id not in question.evidence_session_ids]
        full = belief(bearing, topic)
        agrees = full[0] == values[question.gold_index] and all(one.gold for one in question.certificates if one.by == "solver")
        needs = not question.evidence_session_ids or belief(others, topic) != full
        return agrees, needs and all(belief([one for one in bearing if one is not other], topic) == full for other in others)

    def spans(self, session: Row) -> list[bool]:
        """Of each evidence span (or of a session that lacks one): is it in a message of the user, not blank, of a fact of the session?"""
        users = {place: message.content for place, message in enumerate(session.messages) if message.role == "user"}
        spans = [(users.get(one.message, ""), one.start, one.end, one.fact_id in session.fact_ids) for one in session.evidence]
        held = [own and 0 <= start < end <= len(text) and text[start:end].strip() != "" for text, start, end, own in spans]
        return held or [False] * (session.role != "noise")

    def outright(self, session: Row) -> list[bool]:
        """Of each fact (not sensitive) that a session shows: does one sentence of the user hold all content words of its value?"""
        sentences = [{*WORD.findall(text)} for text in re.split(r"(?<=[.!?])\s+|\n+", session.said["user"].casefold())]
        facts = [self.fact[name] for name in session.fact_ids if name in self.fact and self.fact[name].kind != "sensitive"]
        contents = [{*WORD.findall(fact.value.casefold())} - NO_CONTENT for fact in facts]
        return [bool(content) and any(content <= sentence for sentence in sentences) for content in contents]

    def position(self, *, at_end: bool) -> float | None:
        """Kolmogorov-Smirnov's D between the places of the evidence and the uniform distribution."""
        places = []
        for _, history, at in self.placed:
            if at.distance_tokens is not None and at_end == (at.position >= len(history.session_ids)):
                after = sum(self.session[name].tokens for name in history.session_ids[at.position :] if name in self.session)
                places.append(at.distance_tokens / max(history.tokens if at_end else at.distance_tokens + after, 1))
        n = len(places)
        return max((max(rank / n - place, place - (rank - 1) / n) for rank, place in enumerate(sorted(places), 1)), default=None)

    def moved(self, given: Sequence[Path]) -> int | None:
        """Personas that have another split in an earlier version's `splits.parquet`: of those beside this one, and those given."""
        order = lambda folder: [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("[.-]", folder.name)]  # noqa: E731
        beside = [one.parent / "splits.parquet" for one in self.root.parent.glob("*/manifest.json") if order(one.parent) < order(self.root)]
        files, mine = [*given, *(one for one in beside if one.is_file())], {one.persona_id: one.in_split for one in self.personas}
        both = [row for path in files for row in pq.read_table(path).to_pylist() if row["persona_id"] in mine]
        return len({row["persona_id"] for row in both if row["split"] != mine[row["persona_id"]]}) if both else None

    def contamination(self, against: Sequence[Path]) -> int:
        """Sessions and items that have 13 words in a row in common with a text of the files."""

        def grams(texts: Sequence[str]) -> set[tuple[str, ...]]:
            return {tuple(said[at : at + 13]) for said in map(WORD.findall, map(str.casefold, texts)) for at in range(len(said) - 12)}

        foreign = set[tuple[str, ...]]()
        for path in against:
            text = json.dumps(pq.read_table(path).to_pylist(), default=str) if path.suffix == ".parquet" else path.read_text("utf-8")
            literals = re.findall(r'"(?:\\.|[^"\\])*"', text) if path.suffix in (".json", ".jsonl", ".parquet") else [json.dumps(text)]
            foreign |= grams([json.loads(literal) for literal in literals])
        items = {one.item_id: [one.text, *(option.text for option in one.options)] for one in self.questions}
        texts = [[message.content for message in one.messages] for one in self.sessions] + [*items.values()]
        return sum(not foreign.isdisjoint(grams(text)) for text in texts)

    def figures(self) -> Iterator[tuple[str, float | None]]:
        """All figures that need no further file."""
        asked, sessions, config = self.questions, self.sessions, self.config
        lengths = [([len(option.text) for option in one.options], one.gold_index) for one in asked]
        yield "choose_longest", share([(row[gold] == max(row)) / row.count(max(row)) for row, gold in lengths])
        yield "choose_shortest", share([(row[gold] == min(row)) / row.count(min(row)) for row, gold in lengths])
        solved = [self.solve(question, history) for question, history, _ in self.placed] + [(False, False)] * len(self.unplaced)
        yield "solver_agrees", share([agrees for agrees, _ in solved])
        yield "deletion_certificate", share([hangs for _, hangs in solved])
        yield "spans_in_user_text", share([held for one in sessions for held in self.spans(one)])
        needs = [(name, one, room.session_ids, at.position) for one, room, at in self.placed for name in one.evidence_session_ids]
        yield "spans_in_history", share([name in ids for name, _, ids, _ in needs])
        early = [name in ids[:at] and name in self.session and self.session[name].started_at < one.asked_at for name, one, ids, at in needs]
        yield "evidence_before_question", share(early)
        golds = defaultdict[tuple[str, str], Counter[str]](Counter)
        for one in asked:
            golds[one.in_split, one.item_id].update({option.text: at == one.gold_index for at, option in enumerate(one.options)})
        yield "twin_balance", share([len({*golds[one.in_split, one.item_id].values()}) == 1 for one in asked])
        shown = [one for one in sessions if one.role in ("evidence", "update")]
        yield "stated_outright", share([outright for one in shown for outright in self.outright(one)])
        padding, others = ([one for one in sessions if (one.noise_kind == "unrelated") == padded] for padded in (True, False))
        where = {
            "shared_personas": [(one.persona_id, split) for table in self.tables for one in table for split in (one.in_split, one.split)],
            "shared_seeds": [(one.seed_id, one.in_split) for one in self.personas],
            "shared_items": [(one.item_id, one.in_split) for one in asked],
            "shared_sessions": [(normalised(one.said["user"]), one.in_split) for one in others],
            "shared_padding": [((who, normalised(text)), one.in_split) for one in padding for who, text in one.said.items()],
        }
        for name, things in where.items():  # how many stand in more than one split
            yield name, sum(n > 1 for n in Counter(thing for thing, _ in {*things}).values()) if things else None
        yield "gold_position", variation([one.gold_index for one in asked], dict.fromkeys(range(4), 1))
        yield "kinds", variation([one.kind for one in asked], config["ask"]["kinds"])
        yield "scenarios", variation([one.scenario for one in shown], dict.fromkeys(SCENARIOS, 1))
        yield "noise", variation([one.noise_kind for one in others if one.noise_kind], config["distract"]["noise"])
        yield "evidence_position_middle", self.position(at_end=False)
        yield "evidence_position_end", self.position(at_end=True)
        true, replaced = [one for one in self.facts if one.status == "true"], {one.supersedes for one in self.facts if one.status == "true"}
        roots = [one for one in true if not one.supersedes]
        withdrawn, hinted = [one.forget_requested_at is not None for one in roots], [one.cues_needed > 1 for one in roots]
        changed = [one.fact_id in replaced for one in roots if one.mutable]
        for name, found in (("updates", changed), ("forgets", withdrawn), ("graded", hinted)):
            yield name, variation(found, {True: config["expand"][name], False: 1 - config["expand"][name]})
        times, (fewest, most) = Counter(name for one in shown for name in {*one.fact_ids}), config["converse"]["sessions_per_fact"]
        clear = [times[one.fact_id] for one in true if one.cues_needed == 1 and one.fact_id in times]
        yield "evidence_per_fact", variation(clear, dict.fromkeys(range(fewest, most + 1), 1))
        had, each = Counter(one.persona_id for one in asked), config["ask"]["questions_per_persona"]
        yield "questions_per_persona", share([max(0, 1 - had[name] / each) for name in {one.persona_id for one in self.personas}])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a finished dataset; the exit status is 1 where one of its figures differs")
    parser.add_argument("--against", type=Path, nargs="+", help="the files for contamination, which is left out without them")
    parser.add_argument("--earlier", type=Path, nargs="+", default=[], help="the file of seeds.splits_from, where there was one")
    given = parser.parse_args()
    data, stored = Dataset(given.folder.resolve()), json.loads((given.folder / "audit.json").read_text("utf-8"))["figures"]
    found, verdicts = dict(data.figures(), moved_personas=data.moved(given.earlier)), list[str]()
    found |= {"contamination": data.contamination(given.against)} if given.against else {}
    print(f"{'figure':26} recomputed audit.json")  # noqa: T201
    for name, value in found.items():
        theirs = stored.get(name, {}).get("value")
        same = value is theirs if None in (value, theirs) else abs(value - theirs) < 0.0001  # four places are stored, some rounded down
        verdicts.append("-" if name not in stored else "agrees" if same else "DIFFERS")
        print(name.ljust(26), *(f"{'-' if one is None else format(one, '.4f'):>10}" for one in (value, theirs)), "", verdicts[-1])  # noqa: T201
    raise SystemExit(int("DIFFERS" in verdicts))
