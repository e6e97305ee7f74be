"""Documents tell the truth: every command, scorer, setting and public name is written down."""

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import pytest

import core
from core import cards, cli, config
from core.scoring import SCORERS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODULES = [module.name for module in pkgutil.walk_packages(core.__path__, "core.") if module.name != "core.__main__"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_and_says_what_it_is(module: str) -> None:
    assert importlib.import_module(module).__doc__


def test_public_names_exist() -> None:
    for name in core.__all__:
        assert getattr(core, name).__name__ == name


def test_every_command_is_in_the_readme_and_has_one_sentence() -> None:
    for name, command in cli.main.commands.items():
        assert command.help
        assert command.hidden or f"python -m core {name}" in README


def test_every_scorer_has_a_weight_a_line_in_the_card_and_one_in_the_readme() -> None:
    assert list(SCORERS) == list(config.default_weights())
    assert set(SCORERS) == set(cards.WHAT_SCORERS_SEE)
    for name in SCORERS:
        assert f"`{name}`" in README


def test_every_setting_is_documented() -> None:
    stages = (config.ReadConfig, config.TrainingConfig, config.ScoringConfig, config.FlowConfig, config.TrafficConfig)
    for stage in stages:
        for field in dataclasses.fields(stage):
            assert f"        {field.name}: " in (stage.__doc__ or ""), f"{stage.__name__}.{field.name}"


def test_every_pinned_requirement_gives_its_reason() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert "==" in line and " # " in line, line
