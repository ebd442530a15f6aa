"""Words every context speaks: money, assets, ids, time, errors, events, paging and who is calling.

Nothing here knows a database, a broker or a web framework.
"""
