"""Small rooms with a listener who wears the device: plans that dice have drawn, and the responses they give.

A room's responses are those of one microphone: from a talker in front, and from four places that noise comes from.
Image sources come from pyroomacoustics; each arrives at KEMAR's ear from its own direction, or, in some of the rooms,
at a microphone without a head (what most recordings of noisy speech were made with).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.audio import RATE_HZ
from training.sofa import EARS, Head

TALKER, NOISES = 0, (1, 2, 3, 4)
"""What the channels of a room file are."""

_SPEED_M_S = 343.0
_BEFORE = 8  # samples before the direct sound
_LONGEST_S = 0.6
_WALL_M, _NEAR_M = 0.4, 0.5  # least distance of anybody to a wall, and of a noise to the listener
_HEIGHT_M = (1.1, 1.75)
_AUDIBLE = 1e-5  # a response ends where the energy that is left has fallen by 50 dB
_OUTDOORS_SHARE, _HEAD_SHARE = 0.15, 0.75


@dataclass(frozen=True)
class RoomPlan:
    """One room.

    size_m       of the shoe box
    rt60_s       reverberation time; 0: outdoors, the direct sound alone
    listener_m   place of the microphone
    heading      rad, direction in which the listener looks, from the x axis on
    ear          0, 1: one of EARS; -1: a microphone without a head
    sources_m    places of the talker and of the four noises
    seed         of the small displacements of the images
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    listener_m: tuple[float, ...]
    heading: float
    ear: int
    sources_m: tuple[tuple[float, ...], ...]
    seed: int

    def __str__(self) -> str:
        walls = " x ".join(f"{length:.1f}" for length in self.size_m)
        place = f"room of {walls} m, RT60 {self.rt60_s:.2f} s" if self.rt60_s else "outdoors"
        return f"{place}, {'no head' if self.ear < 0 else EARS[self.ear] + ' ear'}"


def draw_room(rng: np.random.Generator) -> RoomPlan:
    """A room of 10 to 120 m3 with RT60 .1 to .6 s: listener, a talker within 30 degrees in front, four noises."""
    size = (float(rng.uniform(2.5, 7.0)), float(rng.uniform(2.2, 6.0)), float(rng.uniform(2.2, 3.2)))
    outdoors = rng.random() < _OUTDOORS_SHARE
    rt60_s = 0.0 if outdoors else float(rng.uniform(0.1, 0.6))
    ear = int(rng.integers(2)) if outdoors or rng.random() < _HEAD_SHARE else -1
    while True:
        listener = _place(rng, size)
        heading = float(rng.uniform(-np.pi, np.pi))
        angle, distance = heading + rng.uniform(-np.pi / 6, np.pi / 6), rng.uniform(0.6, 2.0)
        talker = listener + distance * np.array([np.cos(angle), np.sin(angle), 0.0])
        talker[2] = rng.uniform(*_HEIGHT_M)
        if all(_WALL_M <= talker[axis] <= size[axis] - _WALL_M for axis in range(3)):
            break
    noises: list[NDArray[np.float64]] = []
    while len(noises) < len(NOISES):
        noise = _place(rng, size, heights=(0.3, 2.0))
        if np.linalg.norm(noise - listener) >= _NEAR_M:
            noises.append(noise)
    sources = tuple(tuple(map(float, place)) for place in (talker, *noises))
    return RoomPlan(size, rt60_s, tuple(map(float, listener)), heading, ear, sources, int(rng.integers(1 << 31)))


def _place(
    rng: np.random.Generator, size: tuple[float, float, float], heights: tuple[float, float] = _HEIGHT_M
) -> NDArray[np.float64]:
    low = np.array([_WALL_M, _WALL_M, heights[0]])
    return rng.uniform(low, np.array([size[0] - _WALL_M, size[1] - _WALL_M, heights[1]]))


def responses(plan: RoomPlan, head: Head) -> NDArray[np.float32]:
    """What the microphone hears of an impulse at each place.

    returns   float32 (5, taps), channels as TALKER and NOISES, each with peak 1 and from 0.5 ms before the direct
              sound on; taps at most 9600 + 128
    """
    channels = [_response(plan, head, place) for place in plan.sources_m]
    taps = max(map(len, channels))
    return np.stack([np.pad(channel, (0, taps - len(channel))) for channel in channels])


def _response(plan: RoomPlan, head: Head, source_m: tuple[float, ...]) -> NDArray[np.float32]:
    images, strengths = _images(plan, source_m)
    ways = images - np.asarray(plan.listener_m)
    distances = np.linalg.norm(ways, axis=1)
    arrivals = np.rint((distances - distances.min()) / _SPEED_M_S * RATE_HZ).astype(np.int64)
    heard = arrivals < _LONGEST_S * RATE_HZ
    ways, distances, arrivals = ways[heard], distances[heard], arrivals[heard]
    strengths = strengths[heard] / distances
    impulses = np.zeros(int(arrivals.max()) + 1)
    if plan.ear < 0:
        np.add.at(impulses, arrivals, strengths)
    else:
        impulses = _through_head(plan, head, ways / distances[:, None], arrivals, strengths)
    return _cut(impulses)


def _images(plan: RoomPlan, source_m: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (n, 3) and strengths (n,) of a source and its mirror images, those of the room a little displaced.

    source    Allen & Berkley 1979; De Sena et al. 2015 for the displacement, which breaks up sweeping echoes
    """
    if plan.rt60_s == 0.0:
        return np.asarray([source_m]), np.ones(1)
    import pyroomacoustics as pra  # for the corpus alone

    absorption, order = _walls(plan)
    box = pra.ShoeBox(plan.size_m, fs=RATE_HZ, materials=pra.Material(absorption), max_order=order)
    box.add_source(list(source_m))
    box.add_microphone(list(plan.listener_m))
    box.image_source_model()
    places = np.asarray(box.sources[0].images.T, np.float64)
    strengths = np.asarray(box.sources[0].damping[0], np.float64)
    direct = int(np.argmin(np.linalg.norm(places - np.asarray(source_m), axis=1)))
    moved = np.random.default_rng(plan.seed).uniform(-0.05, 0.05, places.shape)
    moved[direct] = 0.0
    return places + moved, strengths


def _walls(plan: RoomPlan) -> tuple[float, int]:
    """Energy absorption after Eyring, and the order of images that fills RT60, at most 40."""
    x, y, z = plan.size_m
    surface = 2 * (x * y + y * z + z * x)
    absorption = 1.0 - np.exp(-24 * np.log(10) / _SPEED_M_S * x * y * z / (surface * plan.rt60_s))
    order = int(np.ceil(_SPEED_M_S * plan.rt60_s / min(plan.size_m)))
    return float(min(absorption, 0.98)), min(order, 40)


def _through_head(
    plan: RoomPlan,
    head: Head,
    ways: NDArray[np.float64],
    arrivals: NDArray[np.int64],
    strengths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Each arrival with the ear's response of the measured direction that is next to its own."""
    from scipy.spatial import cKDTree

    cosine, sine = np.cos(plan.heading), np.sin(plan.heading)
    turned = np.stack([cosine * ways[:, 0] + sine * ways[:, 1], cosine * ways[:, 1] - sine * ways[:, 0], ways[:, 2]], 1)
    nearest = cKDTree(head.directions).query(turned)[1]
    ear = head.responses[:, plan.ear].astype(np.float64)
    heard = np.zeros(int(arrivals.max()) + 1 + ear.shape[1])
    for tap in range(ear.shape[1]):
        np.add.at(heard, arrivals + tap, strengths * ear[nearest, tap])
    return heard


def _cut(impulses: NDArray[np.float64]) -> NDArray[np.float32]:
    """Until the energy that is left has fallen by 50 dB, faded over the last tenth; peak 1, 8 samples in front."""
    left = np.cumsum(np.square(impulses)[::-1])[::-1]
    end = int(np.argmax(left < _AUDIBLE * left[0])) or len(impulses)
    kept = impulses[:end].copy()
    fade = len(kept) // 10
    kept[len(kept) - fade :] *= np.linspace(1.0, 0.0, fade)
    return np.asarray(np.pad(kept / np.abs(kept).max(), (_BEFORE, 0)), dtype=np.float32)
