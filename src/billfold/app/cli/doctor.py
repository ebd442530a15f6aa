"""`billfold doctor`: the usual causes of trouble, each with what was found and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import typer

from billfold.app.cli import exits, options, output
from billfold.app.supervisor import diagnosis
from billfold.app.supervisor.findings import Finding
from billfold.kernel import errors

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def doctor(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Look for what usually goes wrong: settings, versions, folders, disk, ports, servers, clock; change nothing."""
    try:
        loaded = options.load(config, data)
    except errors.BillfoldError as error:
        findings = [Finding(check="settings", state="fail", found=error.detail, advice="Correct that setting.")]
    else:
        findings = asyncio.run(diagnosis.examine(loaded))
    if json:
        output.print_json(findings)
    else:
        _show(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(exits.FAILED)


def _show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        state = typer.style(f"{finding.state:4}", fg=_COLOURS[finding.state], bold=True)
        typer.echo(f"{state}  {finding.check:17}  {finding.found}")
        if finding.advice:
            typer.echo(f"{'':25}{finding.advice}")
