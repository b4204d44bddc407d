"""What a record says was scanned: per field and per set of scanners, how many characters; nothing that was not.

A scanner that fails covers nothing of the text it failed on, since the request ends there. Of an answer the scanners
cover what was decided; what waited in a gate when the request ended is not counted.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.record import RequestEntry

MAX_FIELDS = 64
REST = "others"


def coverage(entry: "RequestEntry") -> dict[str, Any]:
    """The record's `covered`: fields of the prompt and of the answer, and the names of the scanners of either."""
    answer = {}
    for where, ranges in entry.released.items():
        counts = {"rules": ranges.get("decided_to", 0), "released": _released(ranges)}
        if "judged_to" in ranges:
            counts["guards"] = ranges["judged_to"]
        answer[where] = counts
    prompt = {by: _bounded(fields) for by, fields in entry.covered.items()}
    return {"prompt": prompt, "answer": answer, "scanners": entry.scanners}


def _released(ranges: dict[str, Any]) -> int:
    """Characters that went out: what was decided, without what was masked or stopped by a guard."""
    end = ranges.get("decided_to", 0)
    if ranges.get("cut") and "judged_to" in ranges:
        end = min(end, ranges["judged_to"])
    return int(end - sum(max(0, min(high, end) - low) for low, high in ranges.get("covered", ())))


def _bounded(fields: dict[str, int]) -> dict[str, int]:
    """Long conversations have hundreds of fields: beyond a number they are counted together."""
    if len(fields) <= MAX_FIELDS:
        return fields
    named = list(fields.items())[: MAX_FIELDS - 1]
    return dict(named) | {REST: sum(fields.values()) - sum(count for _, count in named)}
