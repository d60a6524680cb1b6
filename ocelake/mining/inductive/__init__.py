"""The Inductive Miner: from the trace variants of one object type to an accepting net.

A log is split along a cut of its directly-follows graph, again and again, until single activities are left
(`miner`, `cuts`, `fall_throughs`); the splits make a process tree (`trees`), which becomes a net (`nets`). Without a
noise threshold no step looks at how often a variant occurs, so a log is the set of its variants (`logs`).

References
----------
Leemans, Fahland, van der Aalst: Discovering Block-Structured Process Models from Event Logs (PETRI NETS 2013).
Leemans: Robust Process Mining with Guarantees (PhD thesis, TU Eindhoven 2017).
"""

from __future__ import annotations

from ocelake.mining.inductive.logs import VariantLog
from ocelake.mining.inductive.miner import discover_tree
from ocelake.mining.inductive.nets import net_of_tree
from ocelake.mining.inductive.trees import TAU, Operator, ProcessTree, fold

__all__ = ["TAU", "Operator", "ProcessTree", "VariantLog", "discover_tree", "fold", "net_of_tree"]
