"""The configuration: what a file and `--set` say is what runs, and whatever is wrong is named in one line."""

from pathlib import Path

import pytest

from schemas.config import Config, load_config
from schemas.errors import InputError

CONFIGS = Path(__file__).parent.parent.parent / "configs"

DEFAULT_NOISE = {"hypothetical": 3, "third_person": 3, "fiction": 2, "quoted": 3, "near_miss": 3, "assistant_only": 2}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: {name: mine}\nrun:\n  seed: 5\n", encoding="utf-8")
    return file


def refused(path: Path, *settings: str, version: str | None = None) -> str:
    """The message with which the config is refused."""
    with pytest.raises(InputError) as caught:
        load_config(path, settings, version)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [path.name for path in sorted(CONFIGS.glob("*.yaml"))])
def test_the_configs_that_are_shipped_are_right(name: str) -> None:
    assert load_config(CONFIGS / name).dataset.name == Path(name).stem


def test_what_the_file_says_holds_and_the_rest_has_its_default(path: Path) -> None:
    config = load_config(path)
    assert (config.run.seed, config.run.shard_size) == (5, 8)
    assert (config.dataset.name, config.dataset.version) == ("mine", "0.1.0")


def test_settings_lie_over_the_file_and_a_later_one_over_an_earlier_one(path: Path) -> None:
    config = load_config(path, ["run.seed=6", "seeds.path=../data/a=b.jsonl", "run.seed=7"])
    assert config.run.seed == 7
    assert config.seeds.path == "../data/a=b.jsonl"


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("assemble.budgets=[32000, 128000]", "assemble", "budgets", (32_000, 128_000)),
        ("expand.months=[3,3]", "expand", "months", (3, 3)),
        ("expand.updates=1", "expand", "updates", 1.0),
        ("distract.noise={quoted: 2}", "distract", "noise", {**DEFAULT_NOISE, "quoted": 2}),
        ("distract.noise.quoted=9", "distract", "noise", {**DEFAULT_NOISE, "quoted": 9}),
        ("seeds.limit=null", "seeds", "limit", None),
        ("dataset.version='1.0'", "dataset", "version", "1.0"),
        ("seeds.on_error=skip", "seeds", "on_error", "skip"),
    ],
)
def test_the_value_of_a_setting_is_yaml(path: Path, setting: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(load_config(path, [setting]), section), key) == value


def test_a_single_share_can_be_set_where_the_file_names_the_others(path: Path) -> None:
    path.write_text("dataset: {name: mine}\nexpand: {kinds: {neutral: 0.5, health: 0.5}}\n", encoding="utf-8")
    config = load_config(path, ["expand.kinds.neutral=0.3", "expand.kinds.health=0.7"])
    assert config.expand.kinds == {"neutral": 0.3, "health": 0.7}


@pytest.mark.parametrize("version", ["2", "1.0", "2026.11.22", "v1-rc.1"])
def test_the_version_of_the_command_line_wins_and_stays_text(path: Path, version: str) -> None:
    assert load_config(path, ["dataset.version='9'"], version).dataset.version == version


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("run.seed", "--set run.seed: write it as section.key=value"),
        ("seed=1", "--set seed=1: write it as section.key=value"),
        ("run..seed=1", "write it as section.key=value"),
        ("run.seed =1", "write it as section.key=value"),
        ("=1", "write it as section.key=value"),
        ("run.seed.deep=1", "--set run.seed.deep=1: seed is not a section"),
        ("run.seed=[1", "--set run.seed=[1: the value is not YAML"),
        ("run.sead=1", "mine.yaml: run.sead: Extra inputs are not permitted (given: 1)"),
        ("ran.seed=1", "mine.yaml: ran: Extra inputs are not permitted"),
        ("run.seed=one", "mine.yaml: run.seed: Input should be a valid integer"),
        ("run.shard_size=0", "mine.yaml: run.shard_size: Input should be greater than or equal to 1 (given: 0)"),
        ("dataset.version=1.0", "mine.yaml: dataset.version: Input should be a valid string; put it in quotes (given: 1.0)"),
        ("dataset.name=a/b", "mine.yaml: dataset.name: String should match pattern"),
        ("dataset.name=..", "mine.yaml: dataset.name: String should match pattern"),
        ("seeds.on_error=ignore", "mine.yaml: seeds.on_error: Input should be 'fail' or 'skip' (given: 'ignore')"),
        ("author.kind=magic", "mine.yaml: author.kind: Input should be"),
        ("expand.updates=.nan", "mine.yaml: expand.updates: "),
        ("expand.months=[6]", "mine.yaml: expand.months"),
        ("expand.months=[9, 6]", "expand.months must be two numbers"),
        ("converse.sessions_per_fact=[0, 2]", "converse.sessions_per_fact must be two numbers"),
        ("expand.kinds={neutral: 0.5}", "expand.kinds must add up to 1, not 0.500"),
        ("ask.kinds={current: 0.5, forget: 0.6}", "ask.kinds must add up to 1, not 1.100"),
        ("ask.kinds={poem: 1}", "mine.yaml: ask.kinds.poem"),
        ("distract.noise={quoted: -1}", "distract.noise.quoted: Input should be greater than or equal to 0 (given: -1)"),
        ("distract.noise={unrelated: 5}", "distract.noise: unrelated sessions are not counted"),
        ("assemble.budgets=[]", "mine.yaml: assemble.budgets: "),
        ("assemble.budgets=[32000, 32000]", "assemble.budgets must be different numbers"),
        ("assemble.budgets=[500]", "assemble.budgets must be different numbers of 1,000 tokens or more"),
        ("assemble.budgets=[32500]", "assemble.budgets are whole thousands"),
    ],
)
def test_a_wrong_setting_is_named_with_the_reason(path: Path, setting: str, told: str) -> None:
    assert told in refused(path, setting)


@pytest.mark.parametrize("version", ["../other", "", "a b"])
def test_a_version_that_is_no_folder_name_is_refused(path: Path, version: str) -> None:
    assert "dataset.version" in refused(path, version=version)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a config is a mapping of sections"),
        (b"- run\n", "a config is a mapping of sections"),
        (b"run: [1\n", "not a YAML file"),
        (b"dataset: {name: caf\xe9}\n", "not a YAML file"),
        (b"run: {seed: 1}\n", "dataset: Field required"),
        (b"dataset: {name: mine}\nrun: 3\n", "run: "),
    ],
)
def test_a_file_that_is_no_config_is_named_with_the_reason(path: Path, content: bytes, told: str) -> None:
    path.write_bytes(content)
    said = refused(path)
    assert said.startswith(f"{path}: ")
    assert told in said


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml") == f"{tmp_path / 'none.yaml'}: cannot read the config (No such file or directory)"
    assert "cannot read the config" in refused(tmp_path)


def test_only_what_cannot_show_in_the_data_leaves_the_identity_alone() -> None:
    def identity(**sections: dict[str, object]) -> str:
        return Config.model_validate({"dataset": {"name": "d"}, **sections}).identity()

    assert identity() == identity(run={"concurrency": 9})
    others = [
        identity(run={"seed": 2}), identity(dataset={"name": "e"}), identity(seeds={"license": "MIT"}),
        identity(distract={"noise": {"quoted": 0}}), identity(assemble={"fill": 0.9}), identity(dedup={"overlap": 0.61}),
    ]  # fmt: skip
    assert len({identity(), *others}) == 7
