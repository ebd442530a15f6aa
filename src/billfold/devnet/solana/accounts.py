"""Calls about accounts: what they are and hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from billfold.devnet.solana import calls, engine, parsed, shapes
from billfold.devnet.solana.calls import CallFailed, Config, Params
from billfold.devnet.solana.chain import Chain
from billfold.devnet.solana.network import Network

#: What `getMultipleAccounts` takes on a real node.
MULTIPLE_MAX = 100


class Accounts:
    """Answers from the accounts as they are at the commitment that is asked for."""

    def __init__(self, chain: Chain, network: Network) -> None:
        self._chain = chain
        self._network = network

    def methods(self) -> Mapping[str, Callable[[Params], Any]]:
        return {
            "getBalance": self.balance,
            "getAccountInfo": self.info,
            "getMultipleAccounts": self.several,
            "getTokenAccountBalance": self.token_balance,
            "getTokenAccountsByOwner": self.token_accounts,
            "getTokenSupply": self.supply,
        }

    def balance(self, params: Params) -> Any:
        config = params.config(1)
        account = self._account(params.key(0), config)
        return self._network.context(config, account.lamports if account else 0)

    def info(self, params: Params) -> Any:
        config = params.config(1)
        account = self._account(params.key(0), config)
        return self._network.context(config, shapes.account(account, config, self._chain))

    def several(self, params: Params) -> Any:
        names, config = params.of(0, list[str]), params.config(1)
        if len(names) > MULTIPLE_MAX:
            raise CallFailed(calls.INVALID_PARAMS, f"Too many inputs provided; max {MULTIPLE_MAX}")
        accounts = [self._account(calls.key(name), config) for name in names]
        # Unlike `getAccountInfo`, without a word about it this one tells data in base 64.
        shown = config if config.encoding else Config(encoding="base64", data_slice=config.data_slice)
        return self._network.context(config, [shapes.account(each, shown, self._chain) for each in accounts])

    def token_balance(self, params: Params) -> Any:
        config = params.config(1)
        held = engine.token_account(self._account(params.key(0), config))
        mint = self._chain.engine.mint(held.mint) if held else None
        if held is None or mint is None:
            raise CallFailed(calls.INVALID_PARAMS, "Invalid param: could not find account")
        return self._network.context(config, parsed.token_amount(held.amount, mint.decimals))

    def token_accounts(self, params: Params) -> Any:
        owner, wanted, config = params.key(0), params.of(1, Config), params.config(2)
        if (wanted.mint is None) == (wanted.program_id is None):
            raise CallFailed(calls.INVALID_PARAMS, "Invalid params: either mint or programId is wanted")
        programs = [calls.key(wanted.program_id)] if wanted.program_id else [engine.TOKEN, engine.TOKEN_2022]
        if any(program not in {engine.TOKEN, engine.TOKEN_2022} for program in programs):
            raise CallFailed(calls.INVALID_PARAMS, "Invalid param: unrecognized Token program id")
        mint = calls.key(wanted.mint) if wanted.mint else None
        found = []
        for program in programs:
            for key, _ in self._chain.engine.owned(program):
                account = self._account(key, config)
                held = engine.token_account(account)
                if held and held.owner == owner and mint in {None, held.mint}:
                    found.append({"pubkey": str(key), "account": shapes.account(account, config, self._chain)})
        return self._network.context(config, sorted(found, key=lambda each: str(each["pubkey"])))

    def supply(self, params: Params) -> Any:
        config = params.config(1)
        mint = self._chain.engine.mint(params.key(0))
        if mint is None:
            raise CallFailed(calls.INVALID_PARAMS, "Invalid param: could not find mint")
        return self._network.context(config, parsed.token_amount(mint.supply, mint.decimals))

    def _account(self, key: Pubkey, config: Config) -> Account | None:
        return self._chain.account(key, self._chain.head(config.at))
