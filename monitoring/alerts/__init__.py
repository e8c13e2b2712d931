"""Alerts: what a person is called for, whom, when, and how often.

`causes` asks whether there is something to call for, one function for each kind of rule; `silence` knows how long no
news is good news. `watch` compares what there is with what was told and decides what to tell now; `wording` says it;
`sending` brings it to `channels` of mail, chat and HTTP. `digest` is the daily summary, `defaults` what works out of
the box.
"""
