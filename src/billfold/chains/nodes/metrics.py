"""What can be seen of the nodes. They are called by number and host, because their addresses may hold credentials."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

UP = Gauge("billfold_chain_node_up", "1 while the node answers, 0 while it is left alone.", ["chain", "node"])
LAG = Gauge("billfold_chain_node_lag_blocks", "By how many blocks the node is behind the best one.", ["chain", "node"])
FAILURES = Counter("billfold_chain_node_failures", "Calls that a node did not answer well.", ["chain", "node", "kind"])
DISAGREEMENTS = Counter(
    "billfold_chain_providers_disagree",
    "Answers about money in which nodes contradicted each other.",
    ["chain"],
)
