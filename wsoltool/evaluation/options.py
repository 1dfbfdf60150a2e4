"""Values that several metrics are configured with, checked."""

from __future__ import annotations

from wsoltool.errors import ConfigError, is_whole


def share(metric: str, name: str, value: float, closed: tuple[bool, bool] = (True, True)) -> float:
    """A number from 0 to 1; ``closed`` says whether the ends belong to the range.

    Raises:
        ConfigError: It is something else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= value <= 1 and (closed[0] or value > 0) and (closed[1] or value < 1):
        return float(value)
    low = "from 0" if closed[0] else "above 0"
    high = "to 1" if closed[1] else "to below 1"
    raise ConfigError(f"{metric}: {name} is {value!r}", expected=f"a number {low} {high}")


def resample_count(metric: str, value: int) -> int:
    """How many resamples the bootstrap takes; 0 for no intervals.

    Raises:
        ConfigError: It is no whole number from 0.
    """
    if not is_whole(value, lowest=0):
        raise ConfigError(f"{metric}: resamples is {value!r}", expected="a whole number from 0")
    return value
