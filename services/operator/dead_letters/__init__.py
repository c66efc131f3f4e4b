"""Dead letters: an index of their stream, their states beside them, and what can be done with them.

DLQ ─▶ index (worker, code, type, publisher, form, redrives) ─▶ groups, list, stats, metrics
bucket dead_letters: redriven | parked | dropped, as sets of sequences; everything else is open
"""
