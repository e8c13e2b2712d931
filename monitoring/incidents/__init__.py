"""Incidents: equal failures as one thing to mend.

`groups` finds them in the ledger and the inbox, `gather` keeps one row for each, `remedies` says what happened and what
helps, `plan` looks at what another try would do, `cure` does it, `deeds` is all else that people do with an incident.
"""
