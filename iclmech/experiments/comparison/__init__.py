"""`compare`: in-context learning beside what can stand in its place, with controls.

Read `_protocol` first. `_request` → `_plan` say what is asked, `_roster` what a comparison holds, `_control` and `controls/`
what everything is held against, `_measure` walks one demonstration set, `_dataset` makes arrays, `_claims` and `_answer` say
what follows.
"""
