"""Training the extractive agent whole: first the reader, which is then frozen, then the writing policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory.exam import Sheet
from memory.extractive.agent import ExtractiveAgent
from memory.extractive.desk import Desk
from memory.extractive.policy import Policy
from memory.extractive.reading import train_reader
from memory.extractive.training import Schedule, make_lesson, train_policy
from memory.notes import TokenCount
from schemas.fact import Fact


@dataclass(frozen=True)
class Learned:
    """The agent, and what it was before its policy was trained."""

    agent: ExtractiveAgent
    start: Policy
    rewards: tuple[float, ...]
    """The mean reward of each epoch."""

    @property
    def untrained(self) -> ExtractiveAgent:
        """The same reader with the policy that training began with."""
        return ExtractiveAgent(self.agent.desk, self.start, self.agent.budget)


@dataclass(frozen=True)
class School:
    """Of whom an agent learns."""

    train: Sequence[Sheet]
    validation: Sequence[Sheet]
    """Weigh the reader; their cues and items are not those of train."""
    facts: Mapping[str, Fact]


def learn(school: School, count: TokenCount, budget: int, schedule: Schedule) -> Learned:
    """A trained agent whose memory holds `budget` tokens. The same people and schedule give the same agent."""
    desk = Desk(train_reader(school.train, school.facts, school.validation or school.train, schedule.seed), count)
    lessons = [make_lesson(desk, sheet) for sheet in school.train[: schedule.users]]
    trained = train_policy(desk, lessons, budget, schedule)
    return Learned(ExtractiveAgent(desk, trained.policy, budget), trained.start, trained.rewards)
