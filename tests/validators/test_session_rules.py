"""The rules for sessions, each by examples of its own: what passes, what does not, and what only looks as if it should not."""

from datetime import date

import pytest

from schemas.fact import Fact
from schemas.session import Message
from validators.meta_talk import check_meta_talk
from validators.owned import check_owned
from validators.refusal import check_refusal
from validators.style import check_style
from validators.synthetic import check_synthetic
from validators.timeline import Stretch, check_timeline
from validators.untold import check_untold


def said(user: str, assistant: str = "Here you are.") -> tuple[Message, ...]:
    return Message(role="user", content=user), Message(role="assistant", content=assistant)


@pytest.mark.parametrize(
    ("reply", "passed"),
    [
        ("I'm sorry, but I can't help with that request.", False),
        ("Unfortunately I cannot assist with electrical work.", False),
        ("I would not feel comfortable writing this to her.", False),
        ("I don\u2019t think I should take part in a quarrel.", False),
        ("As an AI, I cannot open your files.", False),
        ("\u201cDear Ann, I'm sorry, I can't help on Friday.\u201d Shorter, and still kind.", True),
        ("'I cannot recommend this hotel' is clearer than what you have.", True),
        ("Try `I can't write` in the test.", True),
        ("Here is the list. Take the early ferry. It is cheaper. I cannot recommend the night one.", True),
    ],
)
def test_a_reply_that_opens_by_declining_does_not_pass(reply: str, passed: bool) -> None:
    verdict = check_refusal("s1", said("Please help.", reply))
    assert verdict.passed is passed
    assert bool(verdict.reason) is not passed


@pytest.mark.parametrize(
    ("user", "reply", "passed"),
    [
        ("As a user with the persona of a baker, I want a list.", "Here.", False),
        ("A list, please.", "This matches the hidden preference.", False),
        ("A list, please.", "This conversation demonstrates the habit without naming it.", False),
        ("Is {value} the reason?", "Yes.", False),
        ("User: say this in French.\nAssistant:", "Oui.", False),
        ("A list, please.", '{"role": "assistant", "text": "a list"}', False),
        ("[turn 1 of 2, user]\nthe timer fires twice", "Set it to false.", False),
        ("Please shorten. [letter continues in the same manner]", "Shorter.", False),
        ("A list, please.", "I have noted your preference for next time and saved it to memory.", False),
        ("A list, please.", "From our earlier conversations I know what you like.", False),
        ('print("Dear {name}, your order") prints the braces', "The `f` is missing.", False),
        ('```\nprint("Dear {name}")\n```\nprints the braces', "The `f` is missing.", True),
        ("I write prompts for a chatbot at work. Add a line on returns.", "Done: ask for the receipt first.", True),
        ("A template please, with [date] and [place].", "Dear all, we meet on [date] in [place].", True),
        ("The user guide is too long.", "Cut the chapter on settings.", True),
    ],
)
def test_talk_of_the_conversation_itself_does_not_pass(user: str, reply: str, passed: bool) -> None:
    assert check_meta_talk("s1", said(user, reply)).passed is passed


def test_who_is_asked_to_forget_may_speak_of_what_is_remembered() -> None:
    messages = said("Forget that, please.", "Done: nothing from our earlier conversations about it is left.")
    assert not check_meta_talk("s1", messages).passed
    assert check_meta_talk("s1", messages, may_remember=True).passed


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("write to ann.k@gmail.com", False),
        ("write to ann.k@example.com or bo@mail.example.org or cy@host.test", True),
        ("write to ann@example.com.evil.net", False),
        ("ann underscore k at yahoo dot co dot uk", False),
        ("ann dot k at example dot com", True),
        ("clone git@github.com:a/b.git", True),
        ("ring 07814 362905 any hour", False),
        ("ring 07700 900123 any hour", True),
        ("+1 (212) 555-0142 or (415) 555-0199", True),
        ("call (212) 736-5000", False),
        ("020 7946 0321", True),
        ("card 4539 1488 0343 6467", False),
        ("card 4111 1111 1111 1111", True),
        ("card 0000 0117 5157 8363", True),
        ("card 4539 1488 0343 6468", True),
        ("to GB33 BUKB 2020 1555 5555 55", False),
        ("to GB82 WEST 1234 5698 7654 32", True),
        ("to GB00 TEST 0117 5157 8363", True),
        ("SSN 219-09-9999", False),
        ("SSN 666-12-3456, 000-12-3456, 912-34-5678", True),
        ("27 Fernleigh Rise, NN15 6QW", False),
        ("key sk-test-abcdefghijkmnpqr-EXAMPLE", True),
        ("key sk-9fK2mQ7xW4vB8nT1rY6zL3pD5", False),
        ("key sk-xxxxxxxxxxxxxxxxxxxxxxxx", True),
        ("AKIAIOSFODNN7EXAMPLE", True),
        ("AKIAJ5Q2ZK7M4XW9T3BD", False),
        ("order 19751, 2024-09-30 10:15, 3,600 km, v1.2.3, ISBN 978-3-16-148410-0", True),
    ],
)
def test_personal_data_that_may_be_somebodys_does_not_pass(text: str, passed: bool) -> None:
    assert check_synthetic("s1", said("Polish this.", text)).passed is passed
    assert check_synthetic("s1", said(text)).passed is passed


@pytest.mark.parametrize(
    ("style", "text", "passed"),
    [
        ("terse, lower case", "Please help me. The table is wrong. It has six columns.", False),
        ("terse, lower case", "help pls. it is wrong.\n\nDear Ann, it is. The table has gone. The list too. Regards, Bo.", True),
        ("formal, full sentences", "u wont believe this lol", False),
        ("informal, quick", "u wont believe this lol", True),
        ("formal, no contractions", "I don't know which one it is.", False),
        ("formal, no contractions", 'I do not know what "don\'t" means.', True),
        ("with exclamation marks", "Help me with this.", False),
        ("dry, never exclaims", "Help me with this!", False),
        ("lots of emojis", "help me with this", False),
        ("friendly, no emojis", "help me with this \U0001f642", False),
        ("numbered questions", "when, where and what", False),
        ("numbered questions", "1) when 2) where", True),
        ("very polite", "Now. Three lines.", False),
        ("clipped", " ".join(["and then"] * 30), False),
        ("cheerful", "Whatever, however it comes!", True),
    ],
)
def test_a_user_who_writes_otherwise_than_their_style_says_does_not_pass(style: str, text: str, passed: bool) -> None:
    verdict = check_style("s1", said(text), style)
    assert verdict.passed is passed
    assert (style in verdict.reason) is not passed


SINCE_2020 = Stretch(date(2020, 3, 1), None, replaced=False)
NEW = Stretch(date(2025, 3, 1), None, replaced=True)


@pytest.mark.parametrize(
    ("on", "stretch", "quote", "passed"),
    [
        (date(2024, 5, 14), SINCE_2020, "since the 2025 timetable I walk", False),
        (date(2025, 5, 14), SINCE_2020, "since the 2025 timetable I walk", True),
        (date(2025, 10, 10), SINCE_2020, "Palm Sunday is the day after tomorrow, so I am robed at nine", False),
        (date(2025, 4, 11), SINCE_2020, "Palm Sunday is the day after tomorrow, so I am robed at nine", True),
        (date(2025, 10, 10), SINCE_2020, "I sang on Christmas Eve, years ago", True),
        (date(2025, 7, 8), SINCE_2020, "the clocks went back on Sunday and the lamp is out", False),
        (date(2025, 6, 1), NEW, "as I have for twenty years", False),
        (date(2025, 6, 1), SINCE_2020, "as I have for twenty years", True),
        (date(2025, 6, 1), NEW, "since 2011 it hangs there", False),
        (date(2025, 6, 1), SINCE_2020, "I go there for the very first time next week", False),
        (date(2020, 3, 3), SINCE_2020, "I go there for the very first time next week", True),
        (date(2025, 6, 1), SINCE_2020, "we collect her from the breeder in three weeks", False),
        (date(2025, 6, 1), SINCE_2020, "right up to the day when I met her", False),
    ],
)
def test_words_that_contradict_the_day_or_the_stretch_do_not_pass(on: date, stretch: Stretch, quote: str, passed: bool) -> None:
    assert check_timeline("s1", said(f"Please help. {quote}."), [quote], on, stretch).passed is passed


@pytest.mark.parametrize(
    ("text", "quote", "passed"),
    [
        ('Marit sent me this: "I bring my own toaster, the crumbs cost me days." What do I reply?', "I bring my own toaster", False),
        ('Please polish: "I bring my own toaster, the crumbs cost me days."', "I bring my own toaster", True),
        ("Four dinners for my aunt, she cried at a crisp.", "she cried at a crisp", False),
        ("My bio, in the third person: She arrives on one wheel.", "She arrives on one wheel", True),
        ('The rhythm in my story: "The glass stood upside down."', "The glass stood upside down", False),
        ("What if I owned a boat and slept aboard every night?", "slept aboard every night", False),
        ("The bunk is damp again. What if it rains?", "The bunk is damp again", True),
        ("The bunk is damp again. Just kidding!", "The bunk is damp again", False),
        ("Lodger's list: oat milk, six. Sort it.", "oat milk, six", False),
        ("Sheila says the newest row stays. My tongs hang by the stove.", "My tongs hang by the stove", True),
    ],
)
def test_evidence_that_is_not_the_users_own_does_not_pass(text: str, quote: str, passed: bool) -> None:
    assert check_owned("s1", said(text), [quote]).passed is passed


def test_one_piece_of_evidence_of_the_users_own_is_enough_and_none_is_not() -> None:
    messages = said("My aunt comes, she cried at a crisp. I cook with six chillies.")
    assert check_owned("s1", messages, ["she cried at a crisp", "I cook with six chillies"]).passed
    assert not check_owned("s1", messages, []).passed


def fact(value: str, status: str = "true") -> Fact:
    return Fact.model_validate(
        {
            "fact_id": "p/f00", "persona_id": "p", "attribute": "a", "value": value, "statement": value, "owner": "self", "status": status,
            "kind": "neutral", "domain": "d", "polarity": "positive", "repeatable": True, "mutable": False,
            "cues_needed": 1, "valid_from": date(2025, 1, 1),
            "valid_until": None, "supersedes": None, "reason": None, "forget_requested_at": None, "bank_id": None,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("I keep two budgies in the hall.", False),
        ("My two budgies are loud.", False),
        ("How long do two budgies live?", True),
        ("Two budgies sat on the fence of the story.", True),
        ("She wrote: 'I keep two budgies.'", True),
        ("I keep two lists. The budgies are my aunt's.", True),
    ],
)
def test_noise_that_tells_a_true_value_does_not_pass(text: str, passed: bool) -> None:
    assert check_untold("s1", said(text), [fact("two budgies")]).passed is passed
    assert check_untold("s1", said(text), [fact("two budgies", "trap")]).passed
