"""What Prometheus is told of chains, by the worker that reads them."""

from prometheus_client import Counter, Gauge

HEIGHT = Gauge("billfold_custody_height", "The last block of the chain that was read.", ["chain"])
LAG = Gauge("billfold_custody_lag_blocks", "Blocks that the chain's nodes have and that were not read yet.", ["chain"])
HALTED = Gauge(
    "billfold_custody_halted", "1 while the chain is read no further until an operator has looked.", ["chain"]
)
NODES_WRONG = Counter("billfold_custody_nodes_wrong", "Answers of the chain's nodes that can't be.", ["chain"])
DEPOSITS = Counter("billfold_custody_deposits", "What has become of deposits.", ["chain", "step"])
UNCOLLECTED = Gauge(
    "billfold_custody_uncollected_units",
    "Releasable deposits that are not swept yet, in the asset's smallest units.",
    ["chain", "asset"],
)
GAS_SHORT = Counter(
    "billfold_custody_gas_short",
    "How often tokens at an address had to wait, because the house has no coin to bring there the fee of a sweep.",
    ["chain"],
)
HOT = Gauge(
    "billfold_custody_hot_units",
    "What lies ready to be sent out and is in no transaction yet, in the asset's smallest units.",
    ["chain", "asset"],
)
REFILL = Gauge(
    "billfold_custody_refill_units",
    "What operators are asked to bring from their warm address, in the asset's smallest units; 0 when nothing is.",
    ["chain", "asset"],
)
REORGANISED = Counter(
    "billfold_custody_blocks_replaced", "Blocks that were read and that the chain has replaced.", ["chain"]
)
BREAK = Gauge(
    "billfold_custody_break",
    "What a chain holds more than the ledger can explain, or (below zero) less, in the asset's smallest units.",
    ["chain", "asset"],
)
STOPPED = Gauge(
    "billfold_custody_withdrawals_stopped",
    "1 while withdrawals of the asset are stopped by a break.",
    ["chain", "asset"],
)
RECONCILED = Gauge(
    "billfold_custody_reconciled_timestamp_seconds",
    "When chain and ledger were compared last with a result.",
    ["chain", "asset"],
)
UNSETTLED = Counter(
    "billfold_custody_reconciliations_unsettled", "Reconciliations that came to no result, by why.", ["chain", "reason"]
)
QUEUE = Gauge("billfold_custody_queue", "Withdrawals that have not ended, by how far they are.", ["chain", "state"])
QUEUE_AGE = Gauge(
    "billfold_custody_queue_age_seconds",
    "How long ago the oldest withdrawal was asked for that has not ended.",
    ["chain"],
)
UNCERTAIN = Gauge(
    "billfold_custody_queue_uncertain", "Withdrawals of which nobody knows whether a node has them.", ["chain"]
)
UNSIGNED = Gauge(
    "billfold_custody_unsigned", "Transactions that wait for signatures from keys that are elsewhere.", ["chain"]
)
ADDRESSES_LEFT = Gauge(
    "billfold_custody_addresses_left", "Imported addresses that can still be given to wallets.", ["chain"]
)
