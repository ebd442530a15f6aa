"""Somebody who calls the API, and remembers each answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

TIMEOUT_S = 60.0
#: Any refusal.
REFUSED = range(400, 500)


@dataclass(frozen=True)
class Answered:
    """What came back, headers and all."""

    request: str
    status: int
    text: str


@dataclass
class Caller:
    """A client with cookies, as a browser has them."""

    url: str
    answers: list[Answered] = field(default_factory=list)
    token: str | None = None

    def __post_init__(self) -> None:
        self.client = httpx2.AsyncClient(base_url=self.url, timeout=TIMEOUT_S, follow_redirects=False)

    async def __call__(
        self, method: str, path: str, body: Any = None, *, status: int | range | None = None, **more: Any
    ) -> httpx2.Response:
        """Call `/api/v1` + path; the answer must have this status, or else any good one."""
        headers = dict(more.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            more["json"] = body
        answer = await self.client.request(method, f"/api/v1{path}", headers=headers, **more)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append(Answered(f"{method} {path}", answer.status_code, f"{head}\n\n{answer.text}"))
        wanted = range(400) if status is None else range(status, status + 1) if isinstance(status, int) else status
        good = answer.status_code in wanted
        assert good, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def errors(self) -> list[Answered]:
        """The refusals."""
        return [answer for answer in self.answers if answer.status >= 400]
