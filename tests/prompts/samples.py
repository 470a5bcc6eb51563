"""One persona and what belongs to it: the fixed variables that every prompt is rendered with in these tests."""

from datetime import date

from prompts.catalogue import load_catalogue
from schemas.drafts import ChangeAsked
from schemas.fact import Fact, FactKind
from schemas.persona import Persona
from schemas.session import Message

PERSONA = Persona(
    persona_id="p3f9a1c07de",
    seed_id="s0badc0ffee",
    split="train",
    name="Ines Karlsen",
    age=43,
    gender="woman",
    location="Aarhus, Denmark",
    occupation="harbour pilot's dispatcher",
    education="vocational diploma in shipping",
    household="with her son, in a terraced house",
    languages=("Danish", "English"),
    traits=("dry", "punctual", "stubborn"),
    speaking_style="Short lines, lower case, no greeting; says what is wrong before what she wants.",
    profile_text="A dispatcher who knows every ship by its voice on the radio. She runs the night desk and coaches a choir of colleagues.",
)
_FACT = Fact(
    fact_id="p3f9a1c07de/f03",
    persona_id="p3f9a1c07de",
    attribute="daily_hot_drink",
    value="loose-leaf tea",
    statement="drinks loose-leaf tea by the pot",
    owner="self",
    status="true",
    kind="neutral",
    domain="food_drink",
    polarity="positive",
    mutable=True,
    repeatable=True,
    cues_needed=1,
    valid_from=date(2025, 3, 1),
    valid_until=None,
    supersedes=None,
    reason=None,
    forget_requested_at=None,
    bank_id=None,
)
CHANGED = _FACT.model_copy(
    update={
        "fact_id": "p3f9a1c07de/f20", "value": "strong black coffee", "statement": "drinks strong black coffee",
        "reason": "the new night rota", "supersedes": "p3f9a1c07de/f03",
    }
)  # fmt: skip
TRAP = _FACT.model_copy(
    update={
        "fact_id": "p3f9a1c07de/t01", "value": "milky coffee", "statement": "drinks coffee with plenty of hot milk", "owner": "Oskar",
        "status": "trap",
    }
)  # fmt: skip
TOPIC = load_catalogue()["daily_hot_drink"].topic
ANSWERS = ("Take a moka pot.", "Take a brown pot and a strainer.", "Take a milk frother.", "Take a kettle, whatever you brew.")
MESSAGES = (
    Message(role="user", content="kettle's dead. ad text for the club's board, below, shorter:\n\nwanted: kettle. my strainer misses it."),
    Message(role="assistant", content="Wanted: a kettle in working order. Leave a note at the desk."),
)


READ = (
    {"name": "s004", "day": date(2025, 3, 4), "messages": MESSAGES},
    {"name": "s005", "day": date(2025, 3, 9), "messages": MESSAGES[:1]},
)
REMEMBERED = "2025-03-01 s003 | drinks loose-leaf tea by the pot\n2025-03-01 s002 of Oskar | keeps bees"


def a_fact(kind: FactKind = "neutral") -> Fact:
    return _FACT.model_copy(update={"kind": kind})


def variables(name: str, persona: Persona = PERSONA, fact: Fact | None = None) -> dict[str, object]:
    """What the stages pass to prompt `name`."""
    stage, kind = name.split("/")
    fact = fact or {"converse/update": CHANGED}.get(name, TRAP if stage == "distract" else a_fact())
    catalogue = load_catalogue()
    session = {"persona": persona, "fact": fact, "topic": TOPIC, "ordinal": 1}
    item: dict[str, object] = {"query": "Long train journey on Friday. What goes into my flask?", "options": ANSWERS}
    by_name: dict[str, dict[str, object]] = {
        "expand/persona": {"seed_text": "a night dispatcher who knows every ship by its voice", "copy": 1},
        "expand/facts": {
            "persona": persona, "count": 7, "kinds": {"stereotypical": 0.2, "anti_stereotypical": 0.15, "neutral": 0.35, "health": 0.3},
            "reserve": 28, "avoid": ("home_order", "pets"), "catalogue": catalogue,
        },
        "expand/changes": {
            "persona": persona, "catalogue": catalogue,
            "asked": tuple(ChangeAsked(fact=fact, back=back) for back in (False, False, True)),
        },
        "expand/traps": {
            "persona": persona, "held": (fact, CHANGED), "facts": (fact,), "other": 3, "near": 1,
            "avoid": ("which_document_number",), "names": 5,
            "catalogue": catalogue,
        },
        "ask/item": {
            "attribute": "daily_hot_drink", "topic": TOPIC, "split": "train", "values": (fact.value, CHANGED.value), "size": 4,
            "variant": 2, "earlier": ("What goes into my flask on Friday?",),
        },
        "judge/stated": {"messages": MESSAGES, "value": fact.value, "topic": TOPIC},
        "judge/inferable": {"messages": MESSAGES, "topic": TOPIC, "options": (fact.value, CHANGED.value, TRAP.value)},
        "judge/owner": {"messages": MESSAGES, "statement": fact.statement},
        "judge/options": {"query": item["query"], "answers": ANSWERS},
        "judge/blind": item,
        "judge/profile": {"persona": persona, **item},
        "judge/solve": {"sessions": (MESSAGES, MESSAGES), **item},
        "memory/write": {"sessions": READ, "memory": REMEMBERED, "budget": 512, "most": 1152},
        "memory/choose": {"sessions": (), "memory": REMEMBERED, "day": date(2025, 8, 3), **item},
        "memory/ask": {"sessions": (), "memory": REMEMBERED, "day": date(2025, 8, 3), "query": item["query"]},
        "memory/reply": {"sessions": (), "memory": REMEMBERED, "day": date(2025, 8, 3), "query": item["query"]},
    }  # fmt: skip
    if stage == "converse":
        return {**session, "scenario": "chat_message", "cue": None if kind == "forget" else "clear"}
    if name == "distract/unrelated":
        return {**session, "fact": None, "topic": "", "area": "code", "scenario": "coding_help"}
    if stage == "distract":
        return {**session, "area": "howto", "scenario": "personal_email" if kind == "quoted" else "planning"}
    return by_name[name]
