"""Replay: what a plan and a run are, their states and their proof. The operator drives runs, workers carry them out.

    plan ─▶ hash ─▶ apply ─▶ run (planned → running ⇄ paused → done | failed | cancelled) ─▶ report

Modules: `plan` (the hash of a plan), `run` (the document of a run and its states), `outcomes` (which sequences a worker
confirmed, skipped, parked or filtered), `ledger` (all outcomes of a run), `progress` (a worker's report, and its pace),
`pace` (token bucket), `origin` (messages of REPLAY), `worker` (the lanes of a run in a worker).
"""
