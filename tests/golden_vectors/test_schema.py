"""schema.json says of keys and types what the loader says, for tools that are not ours."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from golden_vectors.files import DIRECTORY, SCHEMA_FILE
from golden_vectors.kinds import KINDS
from golden_vectors.schema import check_header, json_schema

HEADERS = sorted(path for path in DIRECTORY.glob("*.json") if path.name != SCHEMA_FILE)
VALIDATOR = Draft202012Validator(json.loads((DIRECTORY / SCHEMA_FILE).read_bytes()))


def header(name: str) -> dict[str, Any]:
    return dict(json.loads((DIRECTORY / f"{name}.json").read_bytes()))


def test_the_committed_schema_is_sound_and_that_of_this_program() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)
    assert json.loads(json.dumps(json_schema())) == VALIDATOR.schema


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.stem)
def test_every_header_is_as_the_schema_says(path: Any) -> None:
    assert list(VALIDATOR.iter_errors(json.loads(path.read_bytes()))) == []


def test_every_kind_has_a_header() -> None:
    assert {header(path.stem)["kind"] for path in HEADERS} == set(KINDS)


BAD: list[dict[str, Any]] = [
    {"schema": "wycheproof"}, {"schema_version": 1}, {"contract_version": 99}, {"surprise": 1}, {"kind": "poem"},
    {"kind": "network"}, {"tcId": "x"}, {"tcId": 0}, {"tcId": True}, {"id": "A b"}, {"group": 7}, {"scheme": "float"},
    {"byte_order": "big"}, {"flags": "all"}, {"notes": []}, {"notes": {"Overrun": 1}}, {"hops": 0}, {"hops": 1.5},
    {"resets": [-1]}, {"resets": 3}, {"counters": {}}, {"parameters": "default"}, {"parameters": {"dry_q15": 0}},
    {"profile": {}}, {"files": {"wav": "0"}}, {"files": {"exe": "0" * 64}}, {"generator_version": "new"},
    {"graph_sha256": "0"}, {"events": []}, {"events": [[3, "slow"]]}, {"events": [[3, "late", 1]]},
    {"schedule": {"overruns": 1}}, {"hops_per_line": 0}, {"steps": 3},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=str)
def test_what_the_loader_refuses_the_schema_refuses_too(change: dict[str, Any]) -> None:
    wrong = deepcopy(header("overrun")) | change
    with pytest.raises((ValueError, KeyError)):
        check_header(wrong)
    if change != {"events": []}:  # an empty list is no wrong type
        assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("name", ["overrun", "network_speech_int8"])
def test_a_lost_key_is_refused_by_both(name: str) -> None:
    for key in header(name):
        if key == "schema":
            continue
        lost = {other: value for other, value in header(name).items() if other != key}
        with pytest.raises(ValueError, match=r"schema|contract|kind|keys"):
            check_header(lost)
        assert not VALIDATOR.is_valid(lost), key
