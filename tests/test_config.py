"""Settings: defaults, TOML, refusal of what is unknown or of the wrong type."""

from pathlib import Path

import pytest

from core.config import Config, home
from core.errors import WorkbenchError


def test_round_trip_through_plain_values() -> None:
    config = Config.from_dict({"seed": 3, "scoring": {"weights": {"knn": 2}, "false_alarm_rate": 0.05}})
    assert config.scoring.weights == {"knn": 2}
    assert Config.from_dict(config.to_dict()) == config


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 7\n[read]\ntimezone = "Europe/Berlin"\n[training]\nmax_steps = 50\n')
    config = Config.from_toml(path)
    assert (config.seed, config.read.timezone, config.training.max_steps) == (7, "Europe/Berlin", 50)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 1}, "unknown setting sed"),
        ({"seed": "1"}, "seed must be int, found '1'"),
        ({"seed": True}, "seed must be int"),
        ({"read": 3}, "expected a table"),
        ({"scoring": {"weights": {"knn": "high"}}}, "weights must be"),
        ({"training": {"learning_rate": None}}, "learning_rate must be float"),
        ({"training": {"learning_rate": float("nan")}}, "learning_rate must be 0 or more .* found nan"),
        ({"training": {"held_back": 2.0}}, "held_back at least 0 and below 1, found .* 2.0"),
        ({"network": {"max_tokens": 2}}, "max_tokens must be 8 or more, found 2"),
        ({"read": {"max_line_bytes": -5}}, "max_line_bytes must be 1 or more, found -5"),
        ({"scoring": {"contamination": 0.6}}, "contamination must be a share from 0 to 0.5, found 0.6"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, found -1"),
    ],
)
def test_refusals_name_the_setting(values: dict, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        Config.from_dict(values, "settings.toml")


def test_unreadable_toml(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("seed = ")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        Config.from_toml(path)


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYLOGBERT_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("TINYLOGBERT_HOME")
    assert home() == Path.home() / ".tinylogbert"
