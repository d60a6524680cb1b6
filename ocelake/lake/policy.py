"""What people declare for a log beyond how it is read: its rules, what things cost, and how it is mined."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from ocelake.errors import SettingError
from ocelake.mining.constraints import Rule, Rules
from ocelake.mining.cost import CostModel
from ocelake.settings import LakeSettings, MiningSettings, check_log_id

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Policy", "declared_rules", "load_policy"]


_RULES: Final = ".rules.yaml"


class Policy(BaseModel):
    """What a log is judged by; kept with the publications that were computed under it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Rules
    costs: CostModel
    mining: MiningSettings


def declared_rules(settings: LakeSettings) -> list[Rule]:
    """Give the rules of all logs, by log and as their files list them.

    A file that cannot be read stops its own log when that is built, and no other: here it is passed over.
    """
    found: list[Rule] = []
    for path in sorted((settings.home / "logs").glob(f"*{_RULES}")):
        with suppress(SettingError):
            found += Rules.load(path).rules
    return found


def load_policy(lake: Lake, log_id: str) -> Policy:
    """Read a log's rules (``logs/<log_id>.rules.yaml``), cost model (``logs/<log_id>.cost.yaml``), mining settings."""
    folder, name = lake.settings.home / "logs", check_log_id(log_id)
    return Policy(
        rules=Rules.load(folder / f"{name}{_RULES}"),
        costs=CostModel.load(folder / f"{name}.cost.yaml"),
        mining=lake.settings.mining(log_id),
    )
