"""The bank is as broad as promised, its parts are dealt without overlap, and a broken file is named."""

import random
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from author.offline.bank import BANK_DIR, Bank, bank_of, deal, load_bank
from author.offline.fill import Filler
from schemas.errors import InputError
from schemas.seed import SPLITS, Split
from schemas.session import SCENARIOS


def test_the_bank_is_as_broad_as_promised() -> None:
    bank = load_bank()
    assert len(bank.attributes) >= 80
    assert len({entry.domain for entry in bank.catalogue.values()}) >= 20
    assert {entry.nature for entry in bank.catalogue.values()} == {"taste", "therapy", "health", "sensitive"}
    for name, attribute in bank.attributes.items():
        assert len(attribute.values) >= 4, name
        assert all(len(value.strong) + len(value.weak) >= 5 for value in attribute.values), name
        assert len({value.label for value in attribute.values}) == len(attribute.values), name
        assert not bank.catalogue[name].mutable or len(attribute.reasons) >= 3, name
    tastes = [value for name, a in bank.attributes.items() if bank.catalogue[name].nature == "taste" for value in a.values]
    assert sum(bool(value.fits or value.against) for value in tastes) >= 0.9 * len(tastes)
    assert set(bank.scenarios) == set(SCENARIOS)
    assert all(len(scenario.asks) >= 6 and len(scenario.answers) >= 6 for scenario in bank.scenarios.values())
    assert set(bank.noise) == {"hypothetical", "third_person", "fiction", "quoted", "assistant_only", "near_miss"}
    assert set(bank.padding) == {"code", "maths", "howto", "writing"}


@pytest.mark.parametrize("count", range(3, 40))
def test_a_deal_gives_every_split_a_share_and_no_part_twice(count: int) -> None:
    parts = [f"part {number}" for number in range(count)]
    shares = [deal(parts, split) for split in SPLITS]
    assert all(shares)
    assert sorted(part for share in shares for part in share) == sorted(parts)


def test_a_deal_does_not_depend_on_the_order_of_the_list() -> None:
    parts = [f"part {number}" for number in range(11)]
    assert set(deal(parts, "test")) == set(deal(parts[::-1], "test"))


def texts_of(bank: Bank) -> set[str]:
    """Every text of a split's bank that can stand in a conversation or a question by itself."""
    texts = {cue for a in bank.attributes.values() for value in a.values for cue in (*value.strong, *value.weak)}
    texts |= {
        text for a in bank.attributes.values() for item in a.items for text in (item.query, item.no_assumption, *item.options.values())
    }
    texts |= {text for near in bank.near_miss.values() for one in near for text in (one.exchange.user, one.exchange.assistant)}
    for scenario in bank.scenarios.values():
        texts |= {*scenario.asks, *scenario.answers, *scenario.notes, *(pair.user for pair in scenario.followups)}
        texts |= {text for topic in scenario.topics for text in (*topic.opening, *topic.middle, *topic.closing, *topic.advice)}
    texts |= {text for frames in bank.noise.values() for frame in frames for text in (*frame.user, *frame.assistant)}
    texts |= {text for topics in bank.padding.values() for topic in topics for text in (*topic.asks, *topic.answers)}
    return texts


def test_no_text_is_dealt_to_two_splits() -> None:
    texts = {split: texts_of(bank_of(split)) for split in SPLITS}
    for first, second in combinations(SPLITS, 2):
        assert texts[first] & texts[second] == set()
    assert min(map(len, texts.values())) > 1000


@pytest.mark.parametrize("split", SPLITS)
def test_every_padding_topic_computes_and_fills_for_any_draw(split: Split) -> None:
    bank, chance = bank_of(split), random.Random(3)
    for topics in bank.padding.values():
        for topic in topics:
            for _ in range(40):
                fill = Filler(chance, bank.slots, "Ada Example").lists(topic.lists).numbers(topic.numbers, topic.derive)
                texts = [*topic.asks, *topic.answers, *(text for pair in topic.followups for text in (pair.user, pair.assistant))]
                for text in texts:
                    assert fill(text).strip()


BREAKS = {
    "a cue that says its value": (
        "facts/food_drink.yaml",
        "Packing light failed at the moka pot",
        "I drink strong coffee from the moka pot",
    ),
    "an unknown slot": ("facts/food_drink.yaml", "{friend} took a sip", "{freind} took a sip"),
    "an unknown field": ("moves.yaml", "update_leads:", "update_lead:"),
    "not YAML": ("slots.yaml", "towns: [", "towns: ]["),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_bank_file_is_named(tmp_path: Path, what: str) -> None:
    name, old, new = BREAKS[what]
    broken = tmp_path / "bank"
    shutil.copytree(BANK_DIR, broken)
    text = (broken / name).read_text(encoding="utf-8")
    assert old in text
    (broken / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=Path(name).name):
        load_bank(broken)
