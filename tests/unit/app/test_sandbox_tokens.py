"""What the settings of the sandbox call a token is one on its chains."""

from billfold.app import sandbox
from billfold.app.supervisor import chains
from billfold.devnet.ethereum.faucet import USDC, USDC_SCALE
from billfold.devnet.solana import faucet


def test_the_tokens_of_the_sandbox_are_those_of_its_chains() -> None:
    assert (USDC, str(faucet.USDC)) == (chains.ETHEREUM_USDC, chains.SOLANA_USDC)
    assert [(token.chain, token.contract) for token in sandbox.TOKENS] == [
        ("ethereum", USDC),
        ("solana", str(faucet.USDC)),
    ]
    assert {token.scale for token in sandbox.TOKENS} == {USDC_SCALE}


def test_each_of_them_is_a_setting_of_its_chain() -> None:
    named = {chain.name: chain.settings.get("tokens") for chain in chains.CHAINS}
    assert {token.chain: token.contract for token in sandbox.TOKENS} == {
        name: contract for name, contract in named.items() if contract is not None
    }
