"""Against dual hiding once more: an image at a time, position by position, in Python's floats."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wsoltool.functional.selection import CASES
from wsoltool.structures import Samples
from wsoltool_plugins.adh.adh import DualHiding
from wsoltool_plugins.adh.regions import CHANNEL_SCORES

Map = list[list[float]]


def softmax(values: Map, temperature: float, taken: set[tuple[int, int]]) -> Map:
    free = [v for i, row in enumerate(values) for j, v in enumerate(row) if (i, j) not in taken]
    if not free:
        return softmax(values, temperature, set())
    largest = max(free)
    powers = [
        [0.0 if (i, j) in taken else math.exp((v - largest) / temperature) for j, v in enumerate(r)]
        for i, r in enumerate(values)
    ]
    total = sum(map(sum, powers))
    return [[power / total for power in row] for row in powers]


def expected(shares: Map) -> tuple[int, int]:
    row = sum(i * share for i, line in enumerate(shares) for share in line)
    column = sum(j * share for line in shares for j, share in enumerate(line))
    return nearest(row), nearest(column)


def nearest(coordinate: float) -> int:
    low = math.floor(coordinate)
    return low if coordinate - low < 0.501 else low + 1


def area(centre: tuple[int, int], size: tuple[int, int], side: int) -> set[tuple[int, int]]:
    reach = (side - 1) // 2
    rows = range(max(0, centre[0] - reach), min(size[0], centre[0] + reach + 1))
    columns = range(max(0, centre[1] - reach), min(size[1], centre[1] + reach + 1))
    return {(i, j) for i in rows for j in columns}


def score(channel: Map, how: str, temperature: float) -> float:
    values = [v for row in channel for v in row]
    shares = [s for row in softmax(channel, temperature, set()) for s in row]
    if how == "gap":
        return sum(values) / len(values)
    if how == "peak":
        return max(shares)
    if how == "logsumexp":
        return math.log(sum(math.exp(v / temperature) for v in values))
    return sum(s * v for s, v in zip(shares, values, strict=True))


def case_of(attention: Map, peak: set[tuple[int, int]], least_dispersion: float) -> str:
    flat = [v for row in attention for v in row]
    count, mean = len(peak), [sum(place[axis] for place in peak) / len(peak) for axis in (0, 1)]
    squares = sum((i - mean[0]) ** 2 + (j - mean[1]) ** 2 for i, j in peak)
    if count >= max(3, math.ceil(len(flat) / 100)) and squares / count >= least_dispersion:
        return "scattered"
    target = sum(v >= 0.3 * max(flat) for v in flat)
    if target < 0.2 * len(flat) or count > 0.3 * target:
        return "passed"
    return "hidden"


def kept(channels: list[Map], options: dict) -> tuple[list[list[bool]], str]:
    """What is left of one image, and its case."""
    size = len(channels[0]), len(channels[0][0])
    places = [(i, j) for i in range(size[0]) for j in range(size[1])]
    attention = [
        [sum(c[i][j] for c in channels) / len(channels) for j in range(size[1])]
        for i in range(size[0])
    ]
    largest = max(map(max, attention))
    peak = {(i, j) for i, j in places if attention[i][j] >= options["peak"] * largest}
    side, temperature = options["block_size"], options["temperature"]
    spatial: set[tuple[int, int]] = set()
    for _ in range(options["spatial"]):
        spatial |= area(expected(softmax(attention, temperature, spatial)), size, side)
    how = options["channel_score"]
    order = sorted(range(len(channels)), key=lambda c: -score(channels[c], how, temperature))
    hidden = peak | spatial
    for top in order[: options["channel"]]:
        hidden |= area(expected(softmax(channels[top], temperature, set())), size, side)
    case = case_of(attention, peak, options["selection"]["dispersion"])
    case = "hidden" if options["always_hide"] else case
    if case == "passed":
        hidden = set()
    if case == "scattered":
        hidden |= {(i, j) for i, j in places if attention[i][j] < 0.2 * largest}
    return [[(i, j) not in hidden for j in range(size[1])] for i in range(size[0])], case


def blobs(size: tuple[int, int], seed: int) -> Tensor:
    """Four images of five channels: smooth bumps of several strengths, one of them empty."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.arange(float(side)) for side in size)
    features = torch.zeros(4, 5, *size)
    for image in features[:3]:
        for channel in image:
            top, left, width, height = torch.rand(4, generator=generator).tolist()
            down = (rows - top * (size[0] - 1)) ** 2
            across = (columns - left * (size[1] - 1)) ** 2
            spread = 2 * (1 + 3 * width) ** 2
            channel += 6 * height * torch.exp(-(down[:, None] + across[None]) / spread)
        image += 0.2 * torch.rand(image.shape, generator=generator)
    return features


OPTIONS = st.fixed_dictionaries(
    {
        "peak": st.sampled_from([0.5, 0.8, 0.9]),
        "block_size": st.sampled_from([1, 3, 5]),
        "spatial": st.integers(0, 3),
        "channel": st.integers(0, 3),
        "channel_score": st.sampled_from(CHANNEL_SCORES),
        "temperature": st.sampled_from([0.05, 1.0, 3.0]),
        "selection": st.sampled_from([{"dispersion": 3.0}, {"dispersion": 40.0}]),
        "always_hide": st.booleans(),
    }
)


@settings(deadline=None, max_examples=60)
@given(OPTIONS, st.tuples(st.integers(3, 9), st.integers(3, 9)), st.integers(0, 10**6))
def test_a_batch_is_hidden_as_the_reference_says(
    options: dict, size: tuple[int, int], seed: int
) -> None:
    features = blobs(size, seed)
    hiding = DualHiding(**options).hide(features, Samples(torch.zeros(4, dtype=torch.int64)))
    assert hiding.cases is not None
    for image, left, case in zip(features, hiding.kept, hiding.cases, strict=True):
        expected, name = kept(image.tolist(), options)
        assert CASES[case] == name
        assert left.tolist() == expected


def test_the_reference_meets_every_case() -> None:
    options = {"peak": 0.8, "block_size": 3, "spatial": 1, "channel": 1, "temperature": 1.0}
    options |= {"channel_score": "weighted", "always_hide": False}
    options |= {"selection": {"dispersion": 3.0}}
    names = {kept(f.tolist(), options)[1] for seed in range(12) for f in blobs((8, 8), seed)}
    assert names == set(CASES)
