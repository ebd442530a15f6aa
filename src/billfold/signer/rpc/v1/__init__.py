"""Made of the definitions in proto/ by `python -m tests.architecture.protos`; not written by hand."""
