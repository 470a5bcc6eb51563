"""What a question rests on: certificates by the solver, spans in the user's words, evidence in its place; and what is said outright."""

from collections.abc import Iterator

from schemas.ids import normalise
from schemas.question import Question
from schemas.session import Evidence, Session
from validators.audit.estimates import by_user, ratio
from validators.audit.statistics import Figure, Limit, Units, all_of, sample
from validators.audit.tables import Placed, Published
from validators.implicit import check_implicit
from validators.solver import Topic, about, among, certify

OUTRIGHT = 0.01


def evidence_figures(published: Published) -> list[Figure]:
    """Certificates and places are 100 %; at most 1 % of what shows a fact may say it outright."""
    agreeing, holding = _solved(published)
    spans = list(_spans(published))
    needed = [(placed, name) for placed in published.placed for name in placed.question.evidence_session_ids]
    homeless = len({question.question_id for question in published.questions} - {one.question.question_id for one in published.placed})
    places, sessions = Units(len(published.placed) + homeless, "questions in histories"), Units(len(needed), "sessions needed")
    return [
        all_of("solver_agrees", agreeing.count(False) + homeless, places),
        all_of("deletion_certificate", holding.count(False) + homeless, places),
        all_of("spans_in_user_text", spans.count(False), Units(len(spans), "evidence spans")),
        all_of("spans_in_history", sum(name not in placed.history.session_ids for placed, name in needed), sessions),
        all_of("evidence_before_question", sum(not _precedes(published, *one) for one in needed), sessions),
        _stated_outright(published),
    ]


def _solved(published: Published) -> tuple[list[bool], list[bool]]:
    """For each question in a history: whether the solver agrees with its gold, and whether its certificate holds."""
    agreeing, holding = [], []
    told: dict[str, list[Session]] = {}
    for placed in published.placed:
        history, question = placed.history, placed.question
        if history.history_id not in told:
            found = (published.session.get(name) for name in history.session_ids)
            told[history.history_id] = [session for session in found if session and (session.fact_ids or session.trap_fact_ids)]
        topic = topic_of(question)
        before = [one for one in told[history.history_id] if one.started_at < question.asked_at]
        value = question.options[question.gold_index].value
        gold = None if value is None else normalise(value)
        reading = certify(before, question.evidence_session_ids, published.facts, topic, gold)
        agreeing.append(reading.gold and all(one.gold for one in question.certificates if one.by == reading.by))
        holding.append(reading.without_evidence and reading.without_others)
    return agreeing, holding


def topic_of(question: Question) -> Topic:
    """Facts of the question's attribute or, where a foreign dataset names none, facts with a value that the item offers."""
    if question.attribute is not None:
        return about(question.attribute)
    return among({normalise(option.value) for option in question.options if option.value is not None})


def _spans(published: Published) -> Iterator[bool]:
    """For each span whether it holds words of the user; a session that should have one and has none counts as a bad one."""
    for session in published.sessions:
        if session.role != "noise" and not session.evidence:
            yield False
        yield from (_is_the_users(session, span) for span in session.evidence)


def _is_the_users(session: Session, span: Evidence) -> bool:
    if not 0 <= span.message < len(session.messages) or session.messages[span.message].role != "user":
        return False
    content = session.messages[span.message].content
    within = 0 <= span.start < span.end <= len(content)
    return within and bool(content[span.start : span.end].strip()) and span.fact_id in session.fact_ids


def _precedes(published: Published, placed: Placed, name: str) -> bool:
    """Whether a needed session began before the question, and stands before it in the history."""
    session = published.session.get(name)
    before = placed.history.session_ids[: placed.placement.position]
    return session is not None and session.started_at < placed.question.asked_at and name in before


def _stated_outright(published: Published) -> Figure:
    """Share of shown facts whose value is said outright; secrets and requests to forget are no matter of inference."""
    said = [
        (session.persona_id, float(not check_implicit(session.session_id, session.messages, fact.value).passed))
        for session in published.sessions
        if session.role in ("evidence", "update")
        for fact in (published.facts[name] for name in session.fact_ids if name in published.facts)
        if fact.kind != "sensitive"
    ]
    users, sums, numbers = by_user(said)
    return sample("stated_outright", users, ratio(sums, numbers), Units(len(said), "facts shown"), Limit(None, OUTRIGHT))
