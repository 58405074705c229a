"""A device in time: what the schedule does, what is played, what is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import parts
from firmware_sim.contract import PROFILES, STAGES, WIENER_ALONE, ContractError, Parameters
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.parts import ENDS, LOOP, PARTS, Part, Range
from firmware_sim.ping_pong import PingPong, Status
from firmware_sim.simulation import SCHEDULE, Setting, Simulation
from tests import signals
from tests.firmware_sim.clocks import need_mhz

SEED = PROFILES["seed"]
HOP = SEED.hop_samples
H7 = PARTS["stm32h743"]
EXACT = Part("exact", 480, Range(0, 0, 0), "ITCM", "DTCM", "nowhere")
Pcm = npt.NDArray[np.int16]


def simulated(setting: Setting, pcm: Pcm, parameters: Parameters = WIENER_ALONE) -> tuple[Pcm, Simulation]:
    """What a device without a network plays, and the device."""
    simulation = Simulation(FrameLoop(SEED, None, parameters, streams=len(pcm)), setting)
    hops = np.split(pcm, pcm.shape[1] // HOP, axis=1)
    return np.concatenate([simulation.step(hop).pcm for hop in hops], axis=1), simulation


@pytest.fixture
def pcm() -> Pcm:
    return signals.mixture(0.0, 0.4)[None, : 90 * HOP]


@pytest.fixture
def one_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instruction takes a cycle, always."""
    one = Range(1.0, 1.0, 1.0)
    monkeypatch.setattr(parts, "CPI", {"ITCM": {"network": one, "front_end": one}})


def test_a_device_in_time_plays_the_frame_loop(pcm: Pcm) -> None:
    played, simulation = simulated(Setting(H7), pcm)
    np.testing.assert_array_equal(played, FrameLoop(SEED, None, WIENER_ALONE).process(pcm))
    assert simulation.device.schedule == {"overruns": 0, "held": 0, "lost": 0}


def test_what_is_played_follows_from_the_statuses(pcm: Pcm) -> None:
    played, simulation = simulated(Setting(H7, clock_mhz=1.2 * need_mhz(), other_us=(1500.0, 9000.0)), pcm)
    statuses = [hop.slot.status for hop in simulation.hops]
    assert {Status.ON_TIME, Status.LATE, Status.HELD} <= set(statuses)
    again = PingPong(FrameLoop(SEED, None, WIENER_ALONE))
    np.testing.assert_array_equal(again.play(pcm, statuses), played)
    assert again.schedule == simulation.device.schedule


def test_a_processor_that_is_away_loses_hops(pcm: Pcm) -> None:
    _, simulation = simulated(Setting(H7, clock_mhz=1.2 * need_mhz(), other_us=(20_000.0, 60_000.0)), pcm)
    lost = [hop for hop in simulation.hops if hop.slot.status is Status.LOST]
    assert simulation.device.schedule["lost"] == len(lost) > 5
    assert all(hop.cycles == {} for hop in lost)
    assert sum(": lost, " in line for line in simulation.report()) <= 1


@pytest.mark.usefixtures("one_cycle")
def test_the_cycles_of_a_hop_are_its_counted_instructions(pcm: Pcm) -> None:
    _, simulation = simulated(Setting(EXACT, jitter_us=0.0), np.repeat(pcm, 2, axis=0))
    counted = simulation.instructions
    vad = [hop.taps["vad"][0] for hop in FrameLoop(SEED, None, WIENER_ALONE).hops_of(pcm)]
    for index, hop in enumerate(simulation.hops):
        kind = "learning" if index < SEED.noise_init_hops else "speech" if vad[index] else "noise"
        expected = 2 * (sum(counted.hops[kind].values()) + sum(counted.schedule.values()))
        assert hop.kind == kind
        assert hop.slot.finish - hop.slot.start == sum(hop.cycles.values()) == expected
        assert hop.slot.start == hop.slot.ready == index * 1_920_000
    assert {hop.kind for hop in simulation.hops} == set(counted.hops)
    worst = 100.0 * 2 * (sum(counted.hops["noise"].values()) + sum(counted.schedule.values())) / 1_920_000
    assert f"heaviest hop {worst:.1f} % (typical); heaviest hop low {worst:.1f} %, typical {worst:.1f} %" in "\n".join(
        simulation.report()
    )


@pytest.mark.usefixtures("one_cycle")
def test_at_half_its_need_a_device_is_late_and_held_in_turn(pcm: Pcm) -> None:
    """Without a network a held hop costs as much as any other: the device never catches up, and its hops get lost."""
    need = sum(Simulation(FrameLoop(SEED, None), Setting(EXACT)).instructions.hops["noise"].values()) / 4000.0
    _, simulation = simulated(Setting(EXACT, clock_mhz=need / 2, jitter_us=0.0), pcm)
    schedule = simulation.device.schedule
    assert schedule["overruns"] > 20
    assert schedule["lost"] > 5
    assert simulation.slowest().slot.status is not Status.ON_TIME


def test_the_seed_moves_the_jitter_and_never_the_chip(pcm: Pcm) -> None:
    one, same, other = (simulated(Setting(H7, seed=seed), pcm)[1].hops for seed in (1, 1, 2))
    assert one == same
    assert [hop.slot.ready for hop in one] != [hop.slot.ready for hop in other]
    assert [hop.cycles for hop in one] == [hop.cycles for hop in other]


def test_hops_of_a_kind_take_the_same_cycles_in_the_order_of_the_stages(pcm: Pcm) -> None:
    _, simulation = simulated(Setting(H7), pcm)
    for kind in {hop.kind for hop in simulation.hops}:
        assert len({tuple(hop.cycles.items()) for hop in simulation.hops if hop.kind == kind}) == 1
    assert list(simulation.hops[0].cycles) == [*STAGES, LOOP, SCHEDULE]


def test_the_end_of_the_range_that_is_assumed_is_the_one_that_runs(pcm: Pcm) -> None:
    busy = {}
    for end in ENDS:
        _, simulation = simulated(Setting(PARTS["stm32f746"], assume=end), pcm)
        busy[end] = sum(simulation.hops[-1].cycles.values())
        assert busy[end] / simulation.schedule.period == simulation.loads[end][-1]
        assert f"assumed {end}, of low-typical-high" in simulation.report()[1]
    assert busy["low"] < busy["typical"] < busy["high"]
    assert "code in flash, instruction cache on" in simulation.report()[1]
    assert "code in flash" not in simulated(Setting(H7), pcm)[1].report()[1]


def test_an_end_that_the_range_does_not_have_is_refused() -> None:
    with pytest.raises(ContractError, match="assumes low, typical or high, not worst"):
        Setting(H7, assume="worst")


@pytest.mark.parametrize(("spare", "warned"), [(1.45, False), (1.1, True)])
def test_a_high_end_beyond_the_period_is_one_warning(pcm: Pcm, spare: float, warned: bool) -> None:
    """The typical hop is in time in both; 1.15 of 0.9 cycles an instruction is not."""
    _, simulation = simulated(Setting(H7, clock_mhz=spare * need_mhz()), pcm)
    assert simulation.device.schedule["overruns"] == 0
    warnings = [line for line in simulation.report() if line.startswith("WARNING")]
    assert len(warnings) == warned
    assert all("on silicon the deadline may be missed" in line for line in warnings)


def test_the_warning_knows_the_other_load_that_a_period_may_hold(pcm: Pcm) -> None:
    """900 us of every 3000 go twice into a hop of 4000: 45 %, not 30 %."""
    clock = 1.15 / 0.9 * need_mhz() / 0.6
    _, simulation = simulated(Setting(H7, clock_mhz=clock, other_us=(900.0, 3000.0)), pcm)
    report = "\n".join(simulation.report())
    assert "other load of up to 45.0 %" in report
    assert "WARNING" in report


def test_statuses_are_explained_where_there_are_any_but_on_time(pcm: Pcm) -> None:
    _, simulation = simulated(Setting(H7, clock_mhz=0.9 * need_mhz()), pcm)
    meant = [line for line in simulation.report() if "overruns: late and held late" in line]
    assert len(meant) == 1
    assert all(f"{word}:" in meant[0] for word in ("late", "held", "held late", "lost"))


def test_jitter_delays_a_hop_within_its_bound(pcm: Pcm) -> None:
    _, simulation = simulated(Setting(H7, jitter_us=10.0), pcm)
    late = [hop.slot.ready - hop.slot.hop * 1_920_000 for hop in simulation.hops]
    assert 0 <= min(late) < max(late) <= 4800


def test_the_report_never_calls_the_model_a_measurement(pcm: Pcm) -> None:
    lines = simulated(Setting(H7), pcm)[1].report()
    names = [line.split()[0] for line in lines]
    assert names == ["part", "model", "bears", "load", "headroom", "slowest", "ms:", "schedule", "counters", "budget"]
    assert "MODELLED from counted instructions, not measured" in lines[1]
    assert lines[-3] == "schedule 90 hops: 90 on time"
    assert lines[-2] == "counters 0 overruns, 0 held, 0 lost"
    assert lines[-1].startswith("budget   12 ms: 4 to fill a hop, 4 to process it, 4 of overlap")
    assert SCHEDULE in lines[6]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clock_mhz": 481.0}, "stm32h743 runs at 1 to 480 MHz, not at 481"),
        ({"clock_mhz": 0.5}, "stm32h743 runs at 1 to 480 MHz, not at 0.5"),
        ({"jitter_us": 62.5}, "jitter of 62.5 us: the interrupt must be served within a sample, 62.5 us"),
        ({"jitter_us": -1.0}, "jitter of -1 us"),
    ],
)
def test_what_a_part_cannot_do_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Setting(H7, **settings)


def test_other_load_without_a_gap_of_a_cycle_is_refused() -> None:
    with pytest.raises(ContractError, match="leaves no time"):
        Simulation(FrameLoop(SEED, None), Setting(H7, clock_mhz=1.0, other_us=(9.6, 10.4)))


def test_the_module_needs_no_sound_library() -> None:
    for name in ("simulation", "timeline", "schedule", "ping_pong", "parts"):
        text = (Path(parts.__file__).parent / f"{name}.py").read_text()
        assert "soundfile" not in text
        assert "matplotlib" not in text
