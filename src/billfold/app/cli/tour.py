"""`billfold tour`: the first five minutes, played with real calls that are shown with their answers."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, options, output
from billfold.app.client import PREFIX, Answer, Api, ApiRefusal
from billfold.kernel import ids

if TYPE_CHECKING:
    from rich.console import Console

_WRONG_ANSWER = "The tour met an answer that it did not expect."


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was made, and its answer."""

    title: str
    why: str
    method: str
    path: str
    key: str | None
    body: Any
    status: int
    answer: Any


@client.command
async def tour(
    api: Api,
    fast: Annotated[bool, typer.Option("--fast", help="Don't wait for Enter between the calls.")] = False,
    json: options.Json = False,
) -> None:
    """Play the first five minutes: wallets, money in, between and out of reach, holds, and the past.

    It makes two wallets of its own, and touches nothing else.
    """
    journey = _Journey(api, quiet=json, waits=not fast and not json and sys.stdin.isatty() and sys.stdout.isatty())
    await journey.play()
    if json:
        output.print_json(journey.calls)


class _Journey:
    """The calls one after the other."""

    def __init__(self, api: Api, *, quiet: bool, waits: bool) -> None:
        self.calls: list[Call] = []
        self._api = api
        self._quiet = quiet
        self._waits = waits
        self._name = f"tour-{ids.new()}"

    async def play(self) -> None:
        self._introduce()
        ada, bob = await self._wallets()
        before = await self._money_moves(ada, bob)
        await self._money_is_held(ada, bob)
        await self._the_past(ada, before)
        self._say_goodbye(ada)

    async def _wallets(self) -> tuple[str, str]:
        ada = await self._call(
            "Ada gets a wallet",
            "A wallet belongs to the owner of the API key and takes any asset.",
            "POST",
            "/wallets",
            {"name": "Ada"},
        )
        bob = await self._call("So does Bob", "Names need not be unique; ids are.", "POST", "/wallets", {"name": "Bob"})
        return ada["id"], bob["id"]

    async def _money_moves(self, ada: str, bob: str) -> str:
        deposit = await self._call(
            "Ada pays in 100 dollars",
            "Money comes from the world outside. The Idempotency-Key makes the call safe to repeat.",
            "POST",
            f"/wallets/{ada}/deposits",
            {"money": {"amount": "100.00", "asset": "USD"}, "reference": "first deposit"},
            key="1",
        )
        lunch = {"from": ada, "to": bob, "money": {"amount": "30.00", "asset": "USD"}, "reference": "lunch"}
        await self._call("She pays Bob 30", "Answered when it is durable.", "POST", "/transfers", lunch, key="2")
        await self._call(
            "The same call again",
            "As after a lost connection. The key is known, so the first answer comes back and nothing moves.",
            "POST",
            "/transfers",
            lunch,
            key="2",
        )
        await self._call(
            "She can't spend what she does not have",
            "A refusal has a stable code and says what is wrong; nothing has changed.",
            "POST",
            "/transfers",
            {"from": ada, "to": bob, "money": {"amount": "1000.00", "asset": "USD"}},
            key="3",
            refused="insufficient_funds",
        )
        recorded_at: str = deposit["recorded_at"]
        return recorded_at

    async def _money_is_held(self, ada: str, bob: str) -> None:
        hold = await self._call(
            "Bob's hotel wants 20 set aside",
            "Held money is still Ada's, and can't be spent twice.",
            "POST",
            "/holds",
            {"wallet": ada, "money": {"amount": "20.00", "asset": "USD"}, "reference": "hotel"},
            key="4",
        )
        await self._call(
            "Her balance now",
            "available = posted − held.",
            "GET",
            f"/wallets/{ada}/balance",
        )
        await self._call(
            "The hotel takes 15",
            "The rest is given back to her at once.",
            "POST",
            f"/holds/{hold['id']}/settle",
            {"to": bob, "money": {"amount": "15.00", "asset": "USD"}, "release_rest": True},
            key="5",
        )

    async def _the_past(self, ada: str, before: str) -> None:
        await self._call("Her balance now", "100 − 30 − 15.", "GET", f"/wallets/{ada}/balance")
        await self._call(
            "Her balance when she had just paid in",
            "Any instant of the past can be asked about; nothing is ever overwritten.",
            "GET",
            f"/wallets/{ada}/balance?at={before}",
        )
        await self._call(
            "Her statement",
            "Every transaction with the balance after it; as CSV with ?format=csv.",
            "GET",
            f"/wallets/{ada}/statement",
        )

    async def _call(
        self,
        title: str,
        why: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        refused: str | None = None,
    ) -> Any:
        """Make a call, show it with its answer, and give back the answer; `refused` is the code that it must meet."""
        full_key = None if key is None else f"{self._name}-{key}"
        try:
            answer = await self._api.request(method, path, body=body, key=full_key, repeatable=full_key is not None)
        except ApiRefusal as refusal:
            if refusal.code != refused:
                raise
            answer = Answer(refusal.status, refusal.document)
        else:
            assert refused is None, _WRONG_ANSWER
        call = Call(
            title=title,
            why=why,
            method=method,
            path=PREFIX + path,
            key=full_key,
            body=body,
            status=answer.status,
            answer=answer.body,
        )
        self.calls.append(call)
        if not self._quiet:
            self._show(call, replayed=answer.replayed)
        return answer.body

    def _show(self, call: Call, *, replayed: bool) -> None:
        console = output.console()
        console.print(f"\n{len(self.calls)}. {call.title}", style="bold cyan", markup=False)
        console.print(call.why, style="dim", markup=False)
        console.print(f"\n{_curl(call)}\n", markup=False)
        colour = "green" if call.status < 400 else "yellow"  # noqa: PLR2004 - where HTTP's refusals begin.
        note = "   Idempotency-Replayed: true" if replayed else ""
        console.print(f"→ {call.status}{note}", style=colour, markup=False)
        console.print_json(data=call.answer)
        if self._waits:
            _wait(console)

    def _introduce(self) -> None:
        if self._quiet:
            return
        output.console().print(
            f"A tour of {self._api.url}. Each step is one call, which you can paste after\n\n"
            f"export BILLFOLD_URL={self._api.url} BILLFOLD_API_KEY=<your API key>",
            markup=False,
        )

    def _say_goodbye(self, ada: str) -> None:
        if self._quiet:
            return
        output.console().print(
            "\nWhat to try next:\n"
            f"  billfold statement {ada}    the same as CSV\n"
            "  billfold wallets list    all your wallets\n"
            "  billfold import transactions FILE    your bank's transactions, with their dates\n"
            "  billfold ledger verify    every balance derived again from its entries\n"
            f"  {self._api.url}/docs    every call there is",
            markup=False,
        )


def _wait(console: Console) -> None:
    """Until Enter is pressed. Ctrl-C, or the end of the input, ends the tour."""
    try:
        with output.asking():
            console.input("\n[dim]Enter goes on, Ctrl-C ends the tour.[/dim]")
    except (KeyboardInterrupt, EOFError):
        console.print()
        raise typer.Exit from None


def _curl(call: Call) -> str:
    """The call as it can be pasted into a shell."""
    url = f'"$BILLFOLD_URL{call.path}"'
    lines = [f"curl -sS {url}", '-H "Authorization: Bearer $BILLFOLD_API_KEY"']
    if call.key is not None:
        lines.append(f"-H {shlex.quote(f'Idempotency-Key: {call.key}')}")
    if call.body is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(msgspec.json.encode(call.body).decode())}"]
    return " \\\n  ".join(lines)
