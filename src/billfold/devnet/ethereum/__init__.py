"""Ethereum on this machine: anvil, a real node of Ethereum's rules, behind a journal that loses nothing.

`/` speaks JSON-RPC as any node does. What a node of a real chain has not is refused there: methods that write state
(`anvil_…`, `evm_…`, `hardhat_…`), for which this machine's chain has its control interface.

`engine` is anvil as a child, `journal` what makes it durable, `gate` what keeps anybody from seeing a block too early,
`chain` how blocks are made, `faucet` the money, `passing` what goes to `/`, `fetching` where it comes from. Token.json
is the compiled Token.sol (tests/clients/solidity says how).
"""

from billfold.devnet.ethereum.chain import Local

__all__ = ["Local"]
