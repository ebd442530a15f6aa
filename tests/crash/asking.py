"""Asking the API once, and telling a definite answer from none."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.crash import journal

TIMEOUT_S = 10.0
#: A client that hasn't been answered yet repeats its request after this.
PAUSE_S = 0.05
#: A client that waits this long for an answer is not served.
PATIENCE = 600
#: A request for one of these is known by its content, all others by their idempotency key.
WITHOUT_KEY = ("wallet", "rename")


def client(url: str, api_key: str) -> httpx2.AsyncClient:
    """A client with the sandbox's key."""
    return httpx2.AsyncClient(base_url=url, headers={"authorization": f"Bearer {api_key}"}, timeout=TIMEOUT_S)


async def ask(http: httpx2.AsyncClient, intent: journal.Intent) -> journal.Answer | None:
    """Send a request once. None: no definite answer, it may or may not have been done."""
    method = "PATCH" if intent.kind == "rename" else "POST"
    headers = {} if intent.kind in WITHOUT_KEY else {"idempotency-key": intent.key}
    # A release has no body.
    body = None if intent.kind == "release" else intent.body
    try:
        response = await http.request(method, f"/api/v1{intent.path}", json=body, headers=headers)
        answered = response.json()
    except (httpx2.TransportError, httpx2.InvalidURL, ValueError):
        return None
    if not response.is_success and (response.is_server_error or answered["retryable"]):
        return None
    if _is_open(answered):
        return None
    replayed = response.headers.get("idempotency-replayed") == "true"
    return journal.Answer(intent.key, response.status_code, answered, replayed=replayed)


def _is_open(answered: dict[str, Any]) -> bool:
    """Whether an item of a bulk request has yet to be asked for again."""
    return any(item.get("refusal", {}).get("retryable") for item in answered.get("results", ()))
