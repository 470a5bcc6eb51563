"""Rollouts by hand: what is asked in which order, and that it is what happens in the exam."""

import asyncio
import re
from typing import Any

import pytest

from author.seam import Unwritten
from memory.exam import key_of
from memory.llm import LlmAgent
from memory.replay import Limits, sit
from memory.training.rollout import play, play_without_memory, rounds_of
from schemas.drafts import TextDraft
from tests.memory.training.small import ANN, BOB, LIMITS, Function, Script, player, visit, words


def test_a_question_inside_a_chunk_is_answered_from_a_branch() -> None:
    """Ann is asked after three of six sessions and at the end, in chunks of two."""
    script = Script(
        ["2025-01-02 s001 | main 1"],
        ["2025-01-03 s002 | branch", "2025-01-04 s003 | main 2"],
        ["2025-01-06 s005 | main 3"],
        ["A", "B) because"],
    )
    [[rollout]] = play([visit(ANN)], 1, player(script), rounds_of([visit(ANN)], LIMITS))
    assert [written.memory.lines[0].text for written in rollout.writes] == ["main 1", "main 2", "main 3"]
    assert [written.memory.lines[0].text for written in rollout.branches] == ["branch"]
    assert [(answer.after, answer.branch, answer.answer.choice) for answer in rollout.answers] == [(1, 0, 0), (3, None, 1)]
    first, second, third, answers = script.asked
    assert ["thing 1" in first[0], "thing 2" in first[0]] == [True, False]
    assert ["thing 2" in second[0], "thing 3" in second[0], "main 1" in second[0]] == [True, False, True]
    assert ["thing 3" in second[1], "thing 4" in second[1], "main 1" in second[1], "branch" in second[1]] == [True, False, True, False]
    assert ["main 2" in third[0], "main 1" in third[0]] == [True, False]
    assert ["branch" in answers[0], "main 3" in answers[1], bool(re.search(r"thing \d", "".join(answers)))] == [True, True, False]


def test_users_of_unequal_length_keep_step() -> None:
    """Bob is asked once, inside his first chunk: his rollouts write a branch and nothing else, for what comes later earns nothing."""
    line = "2025-01-01 s000 | x"
    script = Script([line] * 4, [line] * 4, [line] * 2, ["A"] * 6)
    visits = [visit(ANN), visit(BOB)]
    groups = play(visits, 2, player(script), rounds_of(visits, LIMITS))
    assert [[(len(r.writes), len(r.branches), len(r.answers)) for r in group] for group in groups] == [[(3, 1, 2)] * 2, [(0, 1, 1)] * 2]
    assert groups[1][0].answers[0].branch == 0


def test_no_question_and_nothing_later_reaches_a_write() -> None:
    model = Function(lambda text: "2025-01-01 s000 | x" if "The memory so far" in text or "no memory so far" in text else "A")
    play([visit(ANN), visit(BOB)], 2, player(model), 3)
    writes = [text for text in model.asked if "memory so far" in text]
    assert len(writes) == 2 * 4 + 2
    for text in writes:
        assert "what of" not in text and "option" not in text
        seen = [int(number) for number in re.findall(r"thing (\d)", text)]
        assert seen in ([0, 1], [2], [2, 3], [4, 5], [0])


def test_a_write_pays_for_what_is_no_line_and_for_what_is_too_long() -> None:
    too_long = "2025-01-01 s000 | one two three\n2025-01-01 s000 | four five six seven eight nine ten"  # 6 + 10 words of at most 12
    script = Script(["a line\n2025-01-01 s000 | x"], ["", too_long], ["(nothing)"], ["A", "A"])
    [[rollout]] = play([visit(ANN)], 1, player(script), 3)
    assert [written.penalty for written in rollout.writes] == pytest.approx([-0.05, -0.1 * 4 / 16, 0])
    assert rollout.branches[0].penalty == pytest.approx(-0.1)
    assert rollout.branches[0].memory == rollout.writes[0].memory  # no reply: the memory stays
    assert [len(written.memory.lines) for written in rollout.writes] == [1, 1, 0]


class Spoken:
    """The same model as an author, for the agent that is used."""

    name = "spoken"

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    async def write(self, prompt: str, variables: Any, schema: Any, seed: int, record_id: str) -> Any:
        from prompts.render import render

        rendered = render(prompt, variables)
        text = self.reply(rendered.system + rendered.user)
        if schema is TextDraft and text.strip():
            return TextDraft(text=text)
        raise Unwritten("invalid", "not a letter", text, None)


def remember(text: str) -> str:
    """Adds a line for each thing that was said to those of the memory so far; now and then says nothing, or what is no line."""
    if "memory so far" not in text:
        return "ABCD"[len(text) % 4]
    if "thing 5" in text:
        return ""
    told = text[text.index("no examples") :] if "no examples" in text else text
    day = re.findall(r"\ns?(?:\S*)(s\d{3}), (\d{4}-\d\d-\d\d)", told)
    kept = re.findall(r"^2025\S* s0\d\d \| thing \d$", told, re.MULTILINE)
    return "\n".join(["nonsense", *kept, *(f"{date} {name} | thing {int(name[1:])}" for name, date in day)])


@pytest.mark.parametrize("budget", [8, 12, 1000])
@pytest.mark.parametrize("chunk_tokens", [9, 18, 30, 1000])
def test_a_rollout_is_what_happens_in_the_exam(budget: int, chunk_tokens: int) -> None:
    limits = Limits(memory_tokens=budget, count=words, chunk_tokens=chunk_tokens)
    for of in (ANN, BOB):
        sitting = asyncio.run(sit(LlmAgent(Spoken(remember), budget), of.turns, of.stops(), limits))  # type: ignore[arg-type]
        [[rollout]] = play([visit(of)], 1, player(Function(remember), limits), rounds_of([visit(of)], limits))
        assert [written.memory for written in rollout.writes] == list(sitting.memories[: len(rollout.writes)])
        for answer in rollout.answers:
            key = key_of(answer.task.question, 0)
            assert answer.answer.choice == sitting.answers[key].choice
            from_branch = rollout.branches[answer.branch].memory if answer.branch is not None else None
            main = rollout.writes[answer.after - 1].memory if answer.after else None
            memory = from_branch or main
            assert (memory.lines if memory else ()) == sitting.memory_at[key].lines
    assert any(len(memory.lines) > 0 for memory in sitting.memories)


def test_without_a_memory_the_history_up_to_the_question_is_shown() -> None:
    script = Script(["A", "B", "C", "D"])
    [group] = play_without_memory([visit(ANN)], 2, player(script), None)
    assert [[answer.answer.choice for answer in rollout.answers] for rollout in group] == [[0, 1], [2, 3]]
    assert [rollout.writes for rollout in group] == [(), ()]
    for text, last in zip(script.asked[0], (2, 5, 2, 5), strict=True):
        assert [f"thing {number}" in text for number in range(6)] == [number <= last for number in range(6)]
        assert "what of" in text


@pytest.mark.parametrize(("most", "first"), [(4, 6), (9, 5), (13, 5), (17, 5), (18, 4), (1000, 0)])
def test_of_a_long_history_the_last_messages_are_shown(most: int, first: int) -> None:
    script = Script(["A", "A"])
    play_without_memory([visit(ANN)], 1, player(script), most)
    assert [f"thing {number}" in script.asked[0][1] for number in range(6)] == [number >= first for number in range(6)]
    assert "noted 5" in script.asked[0][1]
