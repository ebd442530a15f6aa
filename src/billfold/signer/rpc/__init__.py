"""The signer over gRPC: `add` serves a facade, and `RemoteSigner` is one that calls such a server.

`proto/billfold/signer/v1/signer.proto` says what is spoken; `v1` is the Python of it.
"""

from billfold.signer.rpc.remote import RemoteSigner, connected
from billfold.signer.rpc.servicer import NAMES, add

__all__ = ["NAMES", "RemoteSigner", "add", "connected"]
