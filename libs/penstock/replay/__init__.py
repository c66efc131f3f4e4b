"""Replay: what a plan and a run are, their states and their proof. The operator drives runs, workers carry them out.

    plan ─▶ hash ─▶ apply ─▶ run (planned → running ⇄ paused → done | failed | cancelled) ─▶ report

Modules: `plan` (what is asked for, frozen, and its hash), `run` (the document of a run and its states), `outcomes`
(which sequences a worker confirmed, skipped or parked), `pace` (token bucket), `origin` (messages of REPLAY), `worker`
(the lanes of a run in a worker).
"""
