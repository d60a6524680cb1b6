"""Settings are read when asked for, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocelake.errors import SettingError
from ocelake.settings import LakeSettings, LogSettings, MiningSettings, check_log_id


def test_a_lake_is_under_its_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path))
    settings = LakeSettings.load()
    assert settings.home == tmp_path
    assert settings.catalog_uri == f"sqlite:///{tmp_path / 'catalog.db'}"
    assert settings.landing == tmp_path / "landing"


def test_catalog_properties_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELAKE_CATALOG_URI", "postgresql+psycopg2://user@localhost/lake")
    monkeypatch.setenv("OCELAKE_WAREHOUSE", "s3://bucket/lake")
    monkeypatch.setenv("OCELAKE_CATALOG__S3__ACCESS_KEY_ID", "me")
    settings = LakeSettings.load()
    assert settings.catalog_properties == {"s3.access-key-id": "me"}
    assert settings.warehouse == "s3://bucket/lake"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a" * 101, "ä"])
def test_a_log_id_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="cannot be the name of a log"):
        check_log_id(name)


def test_log_settings_survive_a_file(tmp_path: Path) -> None:
    chosen = LogSettings(time_zone="Europe/Berlin", undeclared_objects="infer")
    chosen.save(tmp_path / "logs" / "x.yaml")
    assert LogSettings.load(tmp_path / "logs" / "x.yaml") == chosen
    assert LogSettings.load(tmp_path / "logs" / "other.yaml") == LogSettings()


@pytest.mark.parametrize(
    "text",
    [
        "time_zone: Mars/Olympus",
        "colour: red",
        "- a",
        "earliest: 2020-01-01T00:00:00",
        "max_quarantined_share: 2",
        "latest: 2020-13-01",
        ": :",
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match="cannot be read") as caught:
        LogSettings.load(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("execution_types: orders", r"execution_types: write a list, such as \[orders\]\."),
        ("perod: day", "perod: there is no such name here, perhaps period is meant"),
        ("perod:", "perod: there is no such name here"),
        ("start: 5", "start: write a text, such as '5' in quotes"),
        ("- day", "the file: write names and values"),
    ],
)
def test_a_wrong_setting_is_told_what_to_write(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.mining.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match=told):
        MiningSettings.load(path)
