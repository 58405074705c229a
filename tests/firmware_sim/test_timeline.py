"""The timeline: a picture that any browser reads, with every hop's fate in it."""

from __future__ import annotations

import math
from itertools import combinations
from xml.etree import ElementTree

import numpy as np

from firmware_sim.contract import PROFILES, STAGES, WIENER_ALONE
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.parts import LOOP, PARTS
from firmware_sim.ping_pong import Status
from firmware_sim.simulation import SCHEDULE, Setting, Simulation
from firmware_sim.timeline import COLOURS, COLUMNS, FULL_PERIODS, OTHER_COLOUR, RIGHT, STAGE_COLOURS, WIDTH, picture
from tests import signals
from tests.firmware_sim.clocks import need_mhz

SEED = PROFILES["seed"]
SVG = "{http://www.w3.org/2000/svg}"


def drawn(hops: int, setting: Setting) -> tuple[ElementTree.Element, Simulation]:
    simulation = Simulation(FrameLoop(SEED, None, WIENER_ALONE), setting)
    for hop in np.split(signals.mixture(0.0, 3.0)[None, : hops * 64], hops, axis=1):
        simulation.step(hop)
    return ElementTree.fromstring(picture(simulation)), simulation


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def test_a_quiet_device_shows_every_hop_in_time() -> None:
    svg, _ = drawn(40, Setting(PARTS["stm32h743"]))
    assert texts(svg)[0] == "Stapes on stm32h743 at 480 MHz: cycles are modelled (typical), not measured"
    fates = [title.text for title in svg.iter(f"{SVG}title") if "hop " in str(title.text)]
    assert [fate.split(",")[0] for fate in map(str, fates)] == [f"hop {i}: on time" for i in range(40)]
    for tick in ("0 ms", "2 ms", "4 ms", "6 ms", "0 s", "0.08 s", "0.16 s"):
        assert tick in texts(svg)
    assert not list(svg.iter(f"{SVG}path"))
    assert not any("_" in text for text in texts(svg))


def test_the_stages_of_a_hop_are_drawn_in_the_order_in_which_they_run() -> None:
    svg, simulation = drawn(9, Setting(PARTS["stm32h743"]))
    tips = [str(rect.findtext(f"{SVG}title")) for rect in svg.iter(f"{SVG}rect")]
    stages = [tip.split(":")[0] for tip in tips if tip.endswith("cycles")]
    order = [stage.replace("_", " ") for stage in (*STAGES, LOOP, SCHEDULE)]
    assert stages == order * len(simulation.hops)
    assert list(STAGE_COLOURS) == [*STAGES, LOOP, SCHEDULE]


def test_no_two_colours_of_the_legend_are_alike() -> None:
    shades = [tuple(bytes.fromhex(c[1:])) for c in (*COLOURS.values(), *STAGE_COLOURS.values(), OTHER_COLOUR)]
    for one, other in combinations(shades, 2):
        assert math.dist(one, other) > 30


def test_bars_that_are_cut_are_marked() -> None:
    svg, simulation = drawn(60, Setting(PARTS["stm32h743"], clock_mhz=0.5 * need_mhz()))
    period = simulation.schedule.period
    beyond = sum(hop.slot.finish - hop.slot.hop * period > FULL_PERIODS * period for hop in simulation.hops)
    assert len(list(svg.iter(f"{SVG}path"))) == beyond + 1 > 5, "one of them explains"
    assert "beyond 1.5 periods" in texts(svg)


def test_the_close_up_begins_before_the_first_hop_that_was_not_played() -> None:
    svg, simulation = drawn(60, Setting(PARTS["stm32h743"], clock_mhz=0.9 * need_mhz()))
    first = next(hop.slot.hop for hop in simulation.hops if not hop.slot.status.played)
    lanes = [text for text in texts(svg) if text.startswith("hop ")]
    assert lanes[0] == f"hop {max(first - 2, 0)}"
    assert f"hop {first}" in lanes
    assert len(lanes) == 9
    colours = {element.get("fill") for element in svg.iter(f"{SVG}rect")}
    assert {COLOURS[Status.LATE], COLOURS[Status.HELD_LATE]} & colours


def test_long_recordings_share_columns_and_name_the_slowest() -> None:
    svg, simulation = drawn(700, Setting(PARTS["imxrt1062"], other_us=(500.0, 3000.0)))
    columns = [title for title in svg.iter(f"{SVG}title") if "hop " in str(title.text)]
    assert len(simulation.hops) > COLUMNS >= len(columns)
    assert any("the slowest of every 2 hops" in text for text in texts(svg))
    assert "other load" in texts(svg)


def test_everything_lies_inside_the_picture() -> None:
    for hops in (1, 5, 90):
        svg, _ = drawn(hops, Setting(PARTS["stm32f746"], clock_mhz=1.1 * need_mhz(), other_us=(9000.0, 20_000.0)))
        height = float(str(svg.get("viewBox")).split()[3])
        for rect in list(svg.iter(f"{SVG}rect"))[1:]:
            x, y, width, tall = (float(str(rect.get(name))) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert y + tall <= height
            assert x + width <= WIDTH - RIGHT + 4
            assert width >= 0
        for text in svg.iter(f"{SVG}text"):
            reach = {"start": 1.0, "middle": 0.5, "end": 0.0}[str(text.get("text-anchor"))]
            width = 0.56 * float(str(text.get("font-size"))) * len(str(text.text))
            assert float(str(text.get("x"))) + reach * width <= WIDTH
            assert float(str(text.get("x"))) - (1 - reach) * width >= 0
