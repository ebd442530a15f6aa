"""A contract for import-linter: some modules may import what is listed and nothing else.

The kinds that come with import-linter forbid what they name. ARCHITECTURE.md says the opposite for the files of a
context, what each *may* import, and so does this: whatever nobody thought of is forbidden.
"""

import re
import sys
from functools import cache

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules
from importlinter.domain.imports import ModuleExpression

#: Stands for every module of the standard library.
STANDARD_LIBRARY = "stdlib"


class MayImportContract(Contract):
    """The modules, and all below them, import directly only what is allowed.

    - modules: whom it is about; `*` stands for one name.
    - allowed: what they may import, with all below it. A name that ends in `.__init__` means the package's own file
      and nothing below it; `stdlib` means the whole standard library.
    - broken_contract_guidance: what to do about a breach.
    """

    type_name = "may_import"

    modules = fields.ListField(subfield=fields.ModuleExpressionField())
    allowed = fields.ListField(subfield=fields.StringField())
    broken_contract_guidance = fields.TextField(required=False)

    # The signature is import-linter's.
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001
        expressions: list[ModuleExpression] = self.modules  # type: ignore[assignment]  # A field becomes its value.
        allowed: list[str] = self.allowed  # type: ignore[assignment]
        pattern = _pattern(tuple(allowed))
        breaches = [
            (importer.name, imported)
            for importer in module_expressions_to_modules(graph, expressions, as_packages=True)
            for imported in graph.find_modules_directly_imported_by(importer.name)
            if not pattern.fullmatch(imported)
        ]
        return ContractCheck(kept=not breaches, metadata={"breaches": sorted(breaches)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["breaches"]:
            output.print_error(f"{importer} may not import {imported}")
        output.new_line()
        if self.broken_contract_guidance:
            output.print_error(str(self.broken_contract_guidance))


@cache
def _pattern(allowed: tuple[str, ...]) -> re.Pattern[str]:
    """Matches every module that is allowed. The graph knows a foreign module by its first name alone."""
    names = [name for name in allowed if name != STANDARD_LIBRARY]
    if STANDARD_LIBRARY in allowed:
        names += sys.stdlib_module_names
    return re.compile("|".join(_one(name) for name in names))


def _one(name: str) -> str:
    own_file_only = name.endswith(".__init__")
    dotted = re.escape(name.removesuffix(".__init__")).replace(r"\*", "[^.]+")
    return dotted if own_file_only else rf"{dotted}(?:\..+)?"
