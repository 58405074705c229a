"""What the headers of streams have in common: the setting, what happens to hops, and the counters at the end."""

from __future__ import annotations

from firmware_sim.contract import STAGES, Parameters, Profile
from firmware_sim.ping_pong import Status, next_behind
from golden_vectors import json_words as words
from golden_vectors.executors import schedule
from golden_vectors.executors.base import EVENTS, RESTART
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import MODELS, Header, check_fields, check_profile, listed, require, shortened, whole

EVENT_KEYS = {"events", "schedule"}
"""Keys of a stream in which hops were late or lost, or the device restarted; its vector also holds `played`."""


def stream_properties() -> dict[str, Word]:
    """What JSON Schema says of the keys that every header of hops has."""
    return {
        "profile": words.dataclass_of(Profile),
        "model": words.one_of(*MODELS),
        "parameters": words.dataclass_of(Parameters),
        "hops": words.whole(1),
        "hops_per_line": words.whole(1),
        "counters": words.closed(dict.fromkeys(STAGES, words.list_of(words.whole(), 2))),
        "graph_sha256": words.SHA256,
    }


def check_stream(header: Header, hops_per_line: int) -> None:
    """Values of these keys; raises ValueError."""
    check_profile(header)
    check_fields(header, "parameters", Parameters)
    hops, counters = header["hops"], header["counters"]
    require(
        whole(header["hops_per_line"]) and header["hops_per_line"] == hops_per_line,
        header,
        "hops_per_line",
        str(hops_per_line),
    )
    require(
        whole(hops, 1) and hops % hops_per_line == 0,
        header,
        "hops",
        f"a whole number above 0{_multiple(hops_per_line)}",
    )
    complete = isinstance(counters, dict) and set(counters) == set(STAGES)
    require(complete, header, "counters", f"two numbers for each of {', '.join(STAGES)}")
    for stage, pair in counters.items():
        if not (listed(pair, whole) and len(pair) == 2):
            raise ValueError(f"counters of {stage} must be two whole numbers, they are {shortened(pair)}")


def _multiple(step: int) -> str:
    return "" if step == 1 else f", a multiple of {step}"


def check_resets(header: Header) -> None:
    hops, resets = header["hops"], header["resets"]
    inside = listed(resets, lambda hop: whole(hop) and hop < hops)
    require(inside and resets == sorted(set(resets)), header, "resets", f"ascending hops below {hops}")


def check_events(header: Header) -> None:
    """Events that can follow each other, and the counters that they lead to."""
    events, hops = header["events"], header["hops"]
    known = listed(events, lambda e: isinstance(e, list) and len(e) == 2 and whole(e[0]) and e[1] in EVENTS)
    require(known and events != [], header, "events", f"pairs of a hop and one of {', '.join(EVENTS)}")
    restarts = [hop for hop, kind in events if kind == RESTART]
    statuses = [(hop, Status(kind)) for hop, kind in events if kind != RESTART]
    for hit in (restarts, [hop for hop, _ in statuses]):
        inside = hit == sorted(set(hit)) and all(hop < hops for hop in hit)
        require(inside, header, "events", f"at ascending hops below {hops}, statuses and restarts each")
    behind = False
    for hop in range(hops):
        status = dict(statuses).get(hop, Status.ON_TIME)
        if status is Status.LOST and hop in (0, *header["resets"], *restarts):
            raise ValueError(f"events: hop {hop} comes from home, where there are no taps yet: it cannot be lost")
        behind = next_behind(status, behind, f"events: hop {hop}")
    counted = header["schedule"]
    complete = (
        isinstance(counted, dict) and set(counted) == set(schedule.COUNTERS) and all(map(whole, counted.values()))
    )
    require(complete, header, "schedule", f"a whole number for each of {', '.join(schedule.COUNTERS)}")
