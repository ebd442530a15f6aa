"""What the exit code of a command says."""

from __future__ import annotations

from billfold.kernel import errors

OK = 0
#: Refused or failed.
FAILED = 1
#: The command line or the settings are wrong.
USAGE = 2
#: Not running, or no connection.
UNREACHABLE = 3
#: A verification found a fault.
FAULT_FOUND = 4

#: For the help and the reference.
MEANINGS = {
    OK: "done",
    FAILED: "refused or failed",
    USAGE: "the command line or the settings are wrong",
    UNREACHABLE: "not running, or no connection",
    FAULT_FOUND: "a verification found a fault",
}

#: By the stable codes of errors, so that no command has to be imported to know them.
_BY_CODE = {
    "setting_invalid": USAGE,
    "setting_unknown": USAGE,
    "not_embedded": USAGE,
    "key_file_invalid": USAGE,
    "url_invalid": USAGE,
    "input_needed": USAGE,
    "mapping_invalid": USAGE,
    "rejects_taken": USAGE,
    "not_running": UNREACHABLE,
    "no_sandbox": UNREACHABLE,
    "sandbox_chain_away": UNREACHABLE,
    "nats_unavailable": UNREACHABLE,
    "broker_unavailable": UNREACHABLE,
    "redis_unavailable": UNREACHABLE,
    "database_unavailable": UNREACHABLE,
    "api_unreachable": UNREACHABLE,
    "gateway_failed": UNREACHABLE,
}


def exit_code(error: errors.BillfoldError) -> int:
    """The exit code of a command that ended with this error."""
    return _BY_CODE.get(error.code, FAILED)
