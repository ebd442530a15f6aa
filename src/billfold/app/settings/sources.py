"""Where settings come from. The later wins: defaults, TOML file, environment variables, secret files, command line.

    [postgres]                       BILLFOLD_POSTGRES__DSN=…
    dsn = "postgresql://…"           BILLFOLD_POSTGRES__DSN_FILE=/run/secrets/dsn

A name that is no setting is an error wherever it stands: a misspelt limit that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec

from billfold.app.settings import section, tree
from billfold.kernel import errors, forms

PREFIX = "BILLFOLD_"
FILE_NAME = "billfold.toml"
#: Names the file itself, so it can't stand in it.
FILE_VARIABLE = "BILLFOLD_CONFIG"
#: Short names for what people set by hand every day.
ALIASES = {
    "BILLFOLD_DATA": "data_dir",
    "BILLFOLD_URL": "client.url",
    "BILLFOLD_API_KEY": "client.api_key",
}
#: A secret is a line. A larger file is a mistake, such as a path to the wrong file.
SECRET_FILE_MAX_BYTES = 64 * 1024


class SettingInvalid(errors.BillfoldError):
    """A setting is wrong."""

    code = "setting_invalid"


class SettingUnknown(SettingInvalid):
    """There is no such setting."""

    code = "setting_unknown"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The tree, and for each value that is not a default the source it came from."""

    settings: tree.Settings
    sources: dict[str, str]


_FIELDS = tree.fields()


def load(
    *, file: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Loaded:
    """Read all sources. `file` and `overrides` (dotted names) are what the command line says.

    Raises: SettingInvalid, SettingUnknown.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for key, value, source in _found(_file(file, environ), environ, overrides or {}):
        values[key] = value
        sources[key] = source
    return Loaded(settings=tree.build(values), sources=sources)


def variable(key: str) -> str:
    """The environment variable of a dotted name."""
    return PREFIX + key.replace(".", "__").upper()


def as_environment(settings: tree.Settings) -> dict[str, str]:
    """The variables that give another process these settings, secrets included."""
    return {variable(key): str(value) for key, value in section.leaves(settings, masked=False) if value is not None}


def converted(values: Mapping[str, object], source: str) -> dict[str, object]:
    """The values by dotted name, as JSON has kept them, with the types that the tree has.

    Raises: SettingInvalid.
    """
    return {key: _converted(key, value, source, strict=False) for key, value in values.items()}


def _found(
    file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Iterator[tuple[str, object, str]]:
    if file is not None:
        yield from _from_file(file)
    yield from _from_environment(environ)
    for key, value in overrides.items():
        yield key, _converted(key, value, "the command line", strict=False), "command line"


def _file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that was named, or `billfold.toml` in the working folder when there is one."""
    if named is None and environ.get(FILE_VARIABLE):
        named = Path(environ[FILE_VARIABLE])
    if named is not None:
        return named
    return Path(FILE_NAME) if Path(FILE_NAME).is_file() else None


def _from_file(file: Path) -> Iterator[tuple[str, object, str]]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingInvalid(f"The settings file {file} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"The settings file {file} is not valid TOML: {error}.") from error
    for key, value in _flat(content):
        if key not in _FIELDS:
            raise _unknown(key, str(file), list(_FIELDS))
        yield key, _converted(key, value, str(file), strict=True), str(file)


def _flat(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    names = ALIASES | {variable(key): key for key in _FIELDS}
    secret_files = {f"{name}_FILE": key for name, key in names.items()}
    found = {name: value for name, value in environ.items() if name.startswith(PREFIX) and name != FILE_VARIABLE}
    for name in sorted(found):
        if name not in names and name not in secret_files:
            raise _unknown(name, "the environment", [*names, *secret_files])
    for name in sorted(found.keys() & names.keys()):
        yield names[name], _converted(names[name], found[name], f"${name}", strict=False), f"${name}"
    for name in sorted(found.keys() & secret_files.keys()):
        key, source = secret_files[name], f"${name}"
        yield key, _converted(key, secret_in(Path(found[name]), source), source, strict=False), source


def secret_in(file: Path, source: str) -> str:
    """The secret that is the content of a file; `source` is what names the file.

    Raises: SettingInvalid.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(SECRET_FILE_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"The secret file {file} of {source} can't be read: {error}.") from error
    if len(text) > SECRET_FILE_MAX_BYTES:
        raise SettingInvalid(f"The secret file {file} of {source} is too large for a secret.")
    return text.rstrip("\r\n")


def _converted(key: str, value: object, source: str, *, strict: bool) -> object:
    try:
        return msgspec.convert(value, _FIELDS[key], strict=strict, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"{key} from {source} is wrong: {forms.said(error)}{_choices(key)}") from error


def _choices(key: str) -> str:
    """What there is, of a setting that is one of a few words."""
    hint = _FIELDS[key]
    words = [word for part in (hint, *get_args(hint)) if get_origin(part) is Literal for word in get_args(part)]
    return f" There are {', '.join(words)}." if words else ""


def _path(wanted: type, value: object) -> object:
    assert wanted is Path, wanted
    if not isinstance(value, str | Path) or not str(value):
        raise msgspec.ValidationError("Expected a path")
    return Path(value).expanduser().absolute()


def _unknown(name: str, source: str, valid: list[str]) -> SettingUnknown:
    nearest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
    return SettingUnknown(f"{name} in {source} is not a setting; the nearest one is {nearest[0]}.")
