"""Makes the Python of the service definitions in `proto/`: `python -m tests.architecture.protos`.

A definition's own name stays as `billfold/ledger/v1/ledger.proto`, as others import it. Its Python lies with the
context that serves it, in `billfold.ledger.rpc.v1`, since a context's files are the context's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"
#: The contexts that serve something.
CONTEXTS = ("ledger", "signer")
_WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
_HEAD = '"""Made of the definitions in proto/ by `python -m tests.architecture.protos`; not written by hand."""\n'


def source(context: str) -> str:
    """The name of a context's definition."""
    return f"billfold/{context}/v1/{context}.proto"


def target(context: str) -> Path:
    """The folder of its Python."""
    return ROOT / "src" / "billfold" / context / "rpc" / "v1"


def generated(context: str) -> dict[str, str]:
    """The content of each file of a context's target by its name."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = (f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python"))
        status = protoc.main(["protoc", f"-I{PROTO}", f"-I{_WELL_KNOWN}", *outputs, source(context)])
        assert status == 0, "the compiler has said why"
        made = {path.name: _moved(path.read_text(), context) for path in Path(folder).rglob("*.py*")}
    return {"__init__.py": _HEAD, **made}


def _moved(code: str, context: str) -> str:
    return code.replace(f"from billfold.{context}.v1 import", f"from billfold.{context}.rpc.v1 import")


def main() -> None:
    """Write them."""
    for context in CONTEXTS:
        folder = target(context)
        folder.mkdir(exist_ok=True)
        for name, content in generated(context).items():
            (folder / name).write_text(content, encoding="utf-8")
            sys.stdout.write(f"{(folder / name).relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
