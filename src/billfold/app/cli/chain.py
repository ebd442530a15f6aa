"""`billfold chain`: plays with the chains of a stack's sandbox, by the control interface that each of them has."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from billfold.app.cli import client, commands, options, output, places
from billfold.app.client import Api
from billfold.app.supervisor import record
from billfold.kernel import errors

app = commands.group("chain")

#: Five hundred blocks take a slow machine a while.
TIMEOUT_S = 120.0
#: What a chain says is short.
_SHOWN_MAX = 300
#: What a chain makes, and refuses, at once.
_BLOCKS_MAX = 500


class Chain(StrEnum):
    """The chains there are."""

    BITCOIN = "bitcoin"
    ETHEREUM = "ethereum"
    SOLANA = "solana"
    STELLAR = "stellar"


class NoSandbox(errors.Unavailable):
    """The stack has no such chain of this machine's own; `billfold up --sandbox` starts with them."""

    code = "no_sandbox"


class ChainAway(errors.Unavailable):
    """The chain of the sandbox does not answer."""

    code = "sandbox_chain_away"


class ChainRefuses(errors.Refusal):
    """The chain of the sandbox can't do this."""

    code = "sandbox_chain_refuses"


Which = Annotated[Chain, typer.Argument(help="Which chain.", show_default=False)]


@app.command("status")
def status(
    chain: Annotated[Chain | None, typer.Argument(help="Only this chain.", show_default=False)] = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Show how far the chains have come, and whether blocks are made."""
    stack = _stack(config, data)
    wanted = (
        [chain] if chain is not None else [one for one in Chain if one in _addresses(stack).keys() | stack.left_out]
    )
    if not wanted:
        raise NoSandbox
    found = {one.value: _state(stack, one) for one in wanted}
    if json:
        output.print_json({"chains": found})
    else:
        _show_states(found)


@app.command("mine")
def mine(
    chain: Which,
    blocks: Annotated[int, typer.Argument(min=1, max=_BLOCKS_MAX, help="How many.")] = 1,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Make blocks now, with what waits for one in the first of them."""
    tip = _asked(_stack(config, data), chain, "mine", {"blocks": blocks})
    _show(chain, tip, json=json, sentence=f"{chain.value.title()} is at block {tip['height']}.")


@app.command("faucet")
def faucet(
    chain: Which,
    amount: Annotated[str, typer.Argument(help="How much, such as 0.5.", show_default=False)],
    address: Annotated[
        str | None, typer.Argument(help="Who gets it; not needed with --wallet.", show_default=False)
    ] = None,
    *,
    wallet: Annotated[
        str | None, typer.Option("--wallet", metavar="WALLET", help="The wallet that gets it, at its own address.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TOKEN", help="A contract, mint or CODE:ISSUER, not the coin.")
    ] = None,
    memo: Annotated[str | None, typer.Option("--memo", metavar="MEMO", help="Of Stellar, such as id:7.")] = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Send play money to an address or a wallet, as a transaction of that chain."""
    stack = _stack(config, data)
    if wallet is not None and address is None:
        address, memo = _own_address(stack, wallet, chain, config, data)
    elif wallet is not None or address is None:
        raise typer.BadParameter("Name an address, or a wallet with --wallet; one of both.")
    wanted = {"address": address, "amount": amount, "token": token, "memo": memo}
    sent = _asked(stack, chain, "faucet", wanted)
    sentence = f"Sent in {sent['chain_tx']}; the next block has it, which a stalled chain makes on `mine` alone."
    _show(chain, {**sent, "address": address}, json=json, sentence=sentence)


@app.command("reorg")
def reorg(
    chain: Which,
    depth: Annotated[int, typer.Argument(min=1, max=_BLOCKS_MAX, help="How many blocks.", show_default=False)],
    *,
    drop: Annotated[bool, typer.Option("--drop", help="Their transactions never happen.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Replace the last blocks by others, one more; their transactions are mined again, unless they are dropped."""
    tip = _asked(_stack(config, data), chain, "reorg", {"depth": depth, "drop": drop})
    _show(chain, tip, json=json, sentence=f"{depth} blocks were replaced; {chain.value.title()} is at {tip['height']}.")


@app.command("stall")
def stall(
    chain: Which,
    off: Annotated[bool, typer.Option("--off", help="Make blocks again.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Make no blocks by themselves any more: transactions wait."""
    state = _asked(_stack(config, data), chain, "stall", {"stalled": not off})
    words = "makes blocks again" if off else "makes no blocks until `--off` or `billfold chain mine`"
    _show(chain, state, json=json, sentence=f"{chain.value.title()} {words}.")


def _stack(config: Path | None, data: Path | None) -> record.StackRecord:
    """The running stack.

    Raises: NotRunning.
    """
    return record.read(options.load(config, data).settings.data_dir)


def _own_address(
    stack: record.StackRecord, wallet: str, chain: Chain, config: Path | None, data: Path | None
) -> tuple[str, str | None]:
    """Where money for the wallet goes, as the stack says it; and the memo, where the address is not its alone."""
    _address(stack, chain)

    async def ask(api: Api) -> Any:
        wallet_id = await client.wallet_id(api, wallet)
        answer = await api.post(f"/wallets/{wallet_id}/addresses", {"chain": chain.value}, key=client.key(None))
        return answer.body

    found = client.run(places.find(None, None, config, data), ask)
    return found["address"], None if found["memo"] is None else f"id:{found['memo']}"


def _addresses(stack: record.StackRecord) -> Mapping[str, str]:
    """The chains of the sandbox and where each is, or will be. Nodes that were set are nobody's to play with."""
    return {name: url for name, url in stack.addresses.items() if name in list(Chain)}


def _state(stack: record.StackRecord, chain: Chain) -> dict[str, Any]:
    if chain in stack.left_out:
        return {"state": "left out", "why": stack.left_out[chain]}
    url = _address(stack, chain)
    if chain in stack.starting:
        return {"state": "starts", "url": url}
    try:
        return {"state": "runs", "url": url, **_asked(stack, chain, None, None)}
    except ChainAway:
        return {"state": "away", "url": url}


def _address(stack: record.StackRecord, chain: Chain) -> str:
    """Where the chain is controlled.

    Raises: NoSandbox.
    """
    if chain in stack.left_out:
        raise NoSandbox(f"{chain.value.title()} is left out of this stack: {stack.left_out[chain]}.")
    try:
        return _addresses(stack)[chain]
    except KeyError:
        raise NoSandbox from None


def _asked(stack: record.StackRecord, chain: Chain, action: str | None, body: Mapping[str, Any] | None) -> Any:
    """What the chain answers.

    Raises: NoSandbox, ChainAway, ChainRefuses.
    """
    url = f"{_address(stack, chain)}/devnet" + ("" if action is None else f"/{action}")
    try:
        with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as http:
            answer = http.get(url) if body is None else http.post(url, json=body)
        said = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        if chain in stack.starting:
            raise ChainAway(f"{chain.value.title()} is still starting; try again in a moment.") from error
        raise ChainAway(f"{chain.value.title()} does not answer; look at the log of the stack.") from error
    if answer.is_success:
        return said
    words = said.get("error") if isinstance(said, dict) else None
    raise ChainRefuses(output.printable(_sentence(str(words or f"status {answer.status_code}")[:_SHOWN_MAX])))


def _sentence(text: str) -> str:
    return f"{text.rstrip('. ')}."


def _show(chain: Chain, answer: Mapping[str, Any], *, json: bool, sentence: str) -> None:
    if json:
        output.print_json({"chain": chain.value, **answer})
    else:
        typer.echo(output.printable(sentence))


def _show_states(found: Mapping[str, Mapping[str, Any]]) -> None:
    told = ("height", "hash")
    rows = [
        (name, one["state"], *(str(one.get(key, "")) for key in told), _blocks(one), one.get("url", ""))
        for name, one in found.items()
    ]
    output.print_table(("chain", "state", "height", "last block", "blocks", "address"), rows)
    for name, one in found.items():
        if "why" in one:
            typer.echo(output.printable(f"{name} is left out: {_sentence(one['why'])}"))


def _blocks(state: Mapping[str, Any]) -> str:
    if "stalled" not in state:
        return ""
    if state["stalled"]:
        return "stalled"
    return "by hand" if state["mining"] == "manual" else f"every {state['block_s']:g} s"
