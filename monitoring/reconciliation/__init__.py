"""The comparison of channel, hub and ERP: what each lists of a day, what differs, and how that is mended.

`census` asks the services for their lists, `channel_side` and `erp_side` compare them with the hub, `findings` keeps
what differs, `checks` says what came of fresh reads and repairs. `repairs` are what may be done, `deeds` do it.
"""
