"""Training the reader on oracle evidence: encoder and heads on the train split, then the few weights on validation. Then it is frozen.

Validation has cues and items that train has not. Weights fitted on train would trust the encoder as far as it knows train's texts by heart.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from memory.exam import Put, Sheet
from memory.extractive.cues import Array, Cues, Sample, train_cues
from memory.extractive.nothing import learn_nothing
from memory.extractive.reader import FEATURES, Reader
from memory.oracle import evidence_of, spans_of
from memory.units import MARKS, Unit, units_of
from schemas.fact import Fact
from schemas.ids import rng
from schemas.memory import Memory, MemoryLine
from text.words import words

_MOST_QUESTIONS = 3000
_MOST_BESIDE = 16
"""Lines beside the evidence that a question of the reader's training has, at most."""
_UNITS_OF_NOTHING = 3
"""Units without evidence that the heads learn from, for each with some."""
_STEPS = 200


def train_reader(sheets: Sequence[Sheet], facts: Mapping[str, Fact], unseen: Sequence[Sheet], seed: int) -> Reader:
    """A reader that has learned from the people of `sheets`, whose facts are known by id, and been weighed on the people of `unseen`."""
    cues = train_cues(list(_samples(sheets, facts)), seed)
    reader = Reader(cues, _heads(cues, sheets, seed), np.array([1, 5, 0, 0, 0, 0, 5], dtype=np.float32))
    return Reader(cues, reader.heads, _fitted_weights(reader, list(_questions(unseen, seed))))


def _samples(sheets: Sequence[Sheet], facts: Mapping[str, Fact]) -> Iterator[Sample]:
    """Every text that is known to show a value, or to be about an attribute, once each."""
    found: dict[Sample, None] = {}
    for sheet in sheets:
        for session in sheet.sessions:
            for span, line in zip(session.evidence, spans_of(session), strict=True):
                fact = facts[span.fact_id]
                found[Sample(line.text, fact.attribute, None if session.role == "forget" else fact.value)] = None
        for put in sheet.questions:
            if put.question.attribute is not None:
                found[Sample(put.question.text, put.question.attribute, None)] = None
                found.update(dict.fromkeys(Sample(o.text, put.question.attribute, o.value) for o in put.question.options))
    people = {sheet.persona.persona_id for sheet in sheets}
    found.update(dict.fromkeys(Sample(f.statement, f.attribute, f.value) for f in facts.values() if f.persona_id in people))
    held = {(sample.attribute, sample.value) for sample in found}
    known = {attribute for attribute, value in held if value is not None}
    return (sample for sample in found if sample.attribute in known)


def _heads(cues: Cues, sheets: Sequence[Sheet], seed: int) -> dict[str, Array]:
    """Log odds of what a text is. `context` is as `evidence`, but looks at the message around it too."""
    shows: list[Unit] = []
    asks: list[Unit] = []
    neither: list[Unit] = []
    for sheet in sheets:
        marked = {session.session_id: spans_of(session) for session in sheet.sessions if session.evidence}
        roles = {session.session_id: session.role for session in sheet.sessions}
        for unit in units_of(sheet.turns):
            if any(covers(unit.text, line.text) for line in marked.get(unit.session_id, ())):
                (asks if roles[unit.session_id] == "forget" else shows).append(unit)
            else:
                neither.append(unit)
    neither = rng(seed, "neither").sample(neither, min(len(neither), _UNITS_OF_NOTHING * len(shows)))
    own, showing = [*shows, *asks, *neither], [True] * len(shows) + [False] * (len(asks) + len(neither))
    vectors = cues.plain([unit.text for unit in own])
    return {
        "evidence": _logistic(vectors, showing),
        "context": _logistic(in_context(cues, own), showing),
        "forget": _logistic(vectors, [False] * len(shows) + [True] * len(asks) + [False] * len(neither)),
        "nothing": learn_nothing(cues, _items(sheets)),
    }


def _items(sheets: Sequence[Sheet]) -> list[tuple[list[str], int]]:
    """Every item with the place of its option that assumes nothing."""
    items = {put.question.item_id: put.question.options for sheet in sheets for put in sheet.questions}
    free = [[place for place, option in enumerate(options) if option.value is None] for options in items.values()]
    return [([o.text for o in options], places[0]) for options, places in zip(items.values(), free, strict=True) if len(places) == 1]


def covers(text: str, span: str) -> bool:
    """Whether most words of the shorter of two texts are in the other."""
    one, other = set(words(text)), set(words(span))
    return len(one & other) >= 0.7 * max(1, min(len(one), len(other)))


def in_context(cues: Cues, units: Sequence[Unit]) -> Array:
    """Shape (units, 512 + marks): each with the message that it stands in, and how it is set there."""
    marks = np.array([unit.marks for unit in units], dtype=np.float32).reshape(len(units), MARKS)
    return np.hstack([cues.plain([unit.text for unit in units]), cues.plain([unit.around for unit in units]), marks])


def _logistic(vectors: Array, labels: Sequence[bool]) -> Array:
    """Weights and bias; where only one label occurs, a bias against or for it."""
    if len(set(labels)) < 2:
        certain = np.zeros(vectors.shape[1] + 1, dtype=np.float32)
        certain[-1] = 5.0 if labels and labels[0] else -5.0
        return certain
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=300).fit(vectors, labels)
    return np.concatenate([fitted.coef_[0], fitted.intercept_]).astype(np.float32)


def _questions(sheets: Sequence[Sheet], seed: int) -> Iterator[tuple[Put, Memory]]:
    """Questions with the memory that the weights learn from: their evidence, among other things that the user has shown by then."""
    every = [(sheet, put) for sheet in sheets for put in sheet.questions]
    for sheet, put in rng(seed, "questions").sample(every, min(len(every), _MOST_QUESTIONS)):
        chance = rng(seed, "beside", put.question.question_id)
        needed = set(put.question.evidence_session_ids)
        others = [line for session in sheet.sessions[: put.sessions] if session.session_id not in needed for line in spans_of(session)]
        beside = chance.sample(others, min(len(others), chance.randint(0, _MOST_BESIDE)))
        lines: list[MemoryLine] = sorted([*evidence_of(sheet, put).lines, *beside], key=lambda line: line.last_seen)
        yield put, Memory(lines=tuple(lines))


def _fitted_weights(reader: Reader, questions: Sequence[tuple[Put, Memory]]) -> Array:
    """The weights under which the right options have the most probability."""
    import torch

    from memory.exam import asked

    longest = max((len(memory.lines) for _, memory in questions), default=1) or 1
    shape = (len(questions), longest, 4, len(FEATURES))
    features, masked = np.zeros(shape, dtype=np.float32), np.full(shape[:3], -1e4, dtype=np.float32)
    plain, nothing = np.zeros((len(questions), 2), dtype=np.float32), np.zeros((len(questions), 4), dtype=np.float32)
    gold = np.array([put.question.gold_index for put, _ in questions])
    for row, (put, memory) in enumerate(questions):
        read, lines = reader.read(asked(put.question, 0)), reader.lines(memory.lines)
        number = len(memory.lines)
        if number:
            features[row, :number] = reader.features(lines, read)
            masked[row, :number] = -20 * lines.asks_to_forget[:, None]
        plain[row] = np.log1p(number), reader.forgotten(lines, read)
        nothing[row] = read.assumes_nothing
    weights = torch.nn.Parameter(torch.from_numpy(reader.weights.copy()))
    optimiser = torch.optim.Adam([weights], lr=0.1)
    tensors = [torch.from_numpy(array) for array in (features, masked, plain, nothing)]
    for _ in range(_STEPS):
        fits = ((tensors[0] @ weights[: len(FEATURES)]) + tensors[1]).logsumexp(1)
        bare = weights[-3] + tensors[2] @ weights[-2:]
        logits = torch.where(torch.eye(4, dtype=torch.bool), bare[:, None, None], fits.clamp(min=-20)[:, None, :])
        shares = (tensors[3][:, :, None] * logits.softmax(2)).sum(1)
        loss = torch.nn.functional.nll_loss((shares + 1e-6).log(), torch.from_numpy(gold))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return weights.detach().numpy()
