"""gRPC as we speak it: serving and calling services of ours. What they do is their contexts' business.

Imported only by roles that speak it: `grpcio` is an extra.
"""
