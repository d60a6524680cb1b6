"""Declarative constraints: rules that a log is held to, and what violates them.

`language` is what a rule says; `selection` finds the events and objects that it names; `event_events` and `counts` are
the kernels, one per shape of rule; `check` makes the stored tables; `declare` reads and writes OC-DECLARE's arcs.
"""

from ocelake.mining.constraints.check import rule_tables
from ocelake.mining.constraints.language import EventEvents, Rule, Rules, attribute_names

__all__ = ["EventEvents", "Rule", "Rules", "attribute_names", "rule_tables"]
