"""Rules about contexts that are not about imports: the names of their files, and who may name their tables."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

#: Packages that are no context: the words, the mechanisms, the chains, servers and chains for development, and who puts
#: everything together.
SHARED = {"kernel", "platform", "chains", "devservers", "devnet", "app"}

#: What a context may consist of (ARCHITECTURE.md). A module may grow into a package of the same name.
MODULES = {"contracts", "events", "errors", "domain", "service", "store", "rest", "rpc", "workers"}
PACKAGES = {"migrations", "adapters", "templates"}
OTHERS = {"README.md", "__init__.py"}
REQUIRED = ("README.md", "__init__.py", "contracts", "errors", "service", "store", "migrations")

_CREATES = re.compile(r"\bCREATE\s+(?:TABLE|VIEW|TYPE|SEQUENCE|MATERIALIZED\s+VIEW)\s+(\w+)\.(\w+)", re.IGNORECASE)
_SCHEMA = re.compile(r"\bCREATE\s+SCHEMA\s+(\w+)", re.IGNORECASE)
_SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
#: How a statement begins. In prose these words are not written in capitals and followed by such others.
_STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s|COPY\s|MERGE\s+INTO\s|WITH\s+\w+\s+AS\s)"
)


def names(package: Path) -> list[str]:
    """The contexts of a tree."""
    return sorted(folder.name for folder in _folders(package) if folder.name not in SHARED)


def misnamed(package: Path) -> list[str]:
    """Files that a context has and should not, and those that it lacks."""
    return [fault for context in names(package) for fault in _misnamed(package / context)]


def tables_named_elsewhere(package: Path) -> list[str]:
    """Places outside of its store that name a table (view, type) of a context or of a mechanism with its own schema."""
    return list(_tables_named_elsewhere(package))


def statements_outside_of_stores(package: Path) -> list[str]:
    """Places in contexts where SQL stands that is not in a store, nor in the schema of an adapter."""
    return [
        f"{path.relative_to(package)}:{line} speaks SQL"
        for context in names(package)
        for path in sorted((package / context).rglob("*.py"))
        if not _is_in_store(path.relative_to(package / context))
        if not _is_schema_of_adapter(path.relative_to(package / context))
        for line, text in _texts(path)
        if _STATEMENT.match(text)
    ]


def _misnamed(context: Path) -> Iterator[str]:
    found = {path.name for path in context.iterdir() if path.name != "__pycache__"}
    modules = {name for name in MODULES if f"{name}.py" in found or name in found}
    allowed = OTHERS | MODULES | PACKAGES | {f"{name}.py" for name in MODULES}
    for name in sorted(found - allowed):
        yield f"{context.name}/{name} is none of a context's files"
    for name in sorted(modules):
        if {name, f"{name}.py"} <= found:
            yield f"{context.name}/{name} is a module and a package"
    for name in REQUIRED:
        if name not in found | modules:
            yield f"{context.name} has no {name}"


def _tables_named_elsewhere(package: Path) -> Iterator[str]:
    said = list(_everything_said(package))
    for owner, tables in _tables(package).items():
        named = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(tables)))})(?!\w)")
        for path, line, text in said:
            if (found := named.search(text)) and not _may_name(path, owner, package):
                yield f"{path.relative_to(package)}:{line} names {found[0]}"


def _tables(package: Path) -> dict[Path, set[str]]:
    """Who has a schema (the folder that `migrations` lies in), and the qualified names of its tables."""
    owners: dict[Path, set[str]] = {}
    for path in sorted(package.rglob("migrations/*.sql")):
        text = _SQL_COMMENT.sub("", path.read_text())
        created = {f"{schema}.{name}" for schema, name in _CREATES.findall(text)}
        owners.setdefault(path.parent.parent, set()).update(created)
    return {owner: tables for owner, tables in owners.items() if tables}


def _may_name(path: Path, owner: Path, package: Path) -> bool:
    if not path.is_relative_to(owner):
        return False
    is_context = owner.parent == package
    return not is_context or _is_in_store(path.relative_to(owner)) or path.suffix == ".sql"


def _is_schema_of_adapter(path: Path) -> bool:
    """Whether a path inside of a context says what an adapter keeps in a database that is not PostgreSQL."""
    return path.parts[0] == "adapters" and path.name == "schema.py"


def _is_in_store(path: Path) -> bool:
    """Whether a path inside of a context is of its store."""
    return path.parts[0] in {"store", "store.py"}


def _everything_said(package: Path) -> Iterator[tuple[Path, int, str]]:
    for path in sorted(package.rglob("*.py")):
        yield from ((path, line, text) for line, text in _texts(path))
    for path in sorted(package.rglob("*.sql")):
        # Comments give way to as many lines, so that the numbers stay right.
        text = _SQL_COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), path.read_text())
        yield from ((path, number, line) for number, line in enumerate(text.splitlines(), start=1))


def _texts(path: Path) -> list[tuple[int, str]]:
    """The string literals of a Python file with their lines, docstrings and other bare strings left out."""
    return _literals(path.read_text())


@cache
def _literals(code: str) -> list[tuple[int, str]]:
    nodes = list(ast.walk(ast.parse(code)))
    bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
    ]


def _folders(package: Path) -> Iterable[Path]:
    return (path for path in package.iterdir() if path.is_dir() and path.name != "__pycache__")


def schemas(package: Path) -> dict[str, str]:
    """Each schema that a migration creates, and the folder whose migration does."""
    return {
        schema: str(path.parent.parent.relative_to(package))
        for path in sorted(package.rglob("migrations/*.sql"))
        for schema in _SCHEMA.findall(_SQL_COMMENT.sub("", path.read_text()))
    }
