"""The house keeps its directions: who may import whom, and how large a module may be."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": set(),
    "prompts": {"schemas"},
    "text": {"schemas"},
    "store": {"schemas"},
    "author": {"schemas", "prompts", "store"},
    "validators": {"schemas", "prompts", "text", "store", "author"},
    "memory": {"schemas", "prompts", "text", "store", "author", "validators"},
    "flows": {"schemas", "prompts", "text", "store", "author", "validators", "memory"},
}
MODULES = sorted(path for room in MAY_IMPORT for path in (REPO / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    """The rooms of the house that a module imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} & set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPO)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(REPO).parts[0]
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPO)))
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_required_folders_exist() -> None:
    for name in ("flows", "prompts", "schemas", "validators", "tests", "output"):
        assert (REPO / name).is_dir()
