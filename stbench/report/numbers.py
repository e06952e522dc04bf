"""Formatting of numbers: digits and units."""

from __future__ import annotations

import math

from stbench.metrics import get_metric


def format_value(value: float) -> str:
    """Format with four significant digits, without an exponent if possible.

    >>> format_value(0.0123456), format_value(1234.5), format_value(0.34451), format_value(2.0)
    ('0.01235', '1234', '0.3445', '2.000')
    """
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == 0 or abs(value) < 1e-5:
        return f"{value:.3g}"
    return f"{value:.{_decimals(value)}f}"


def format_spread(mean: float, std: float) -> str:
    """Format mean ± std with the same decimals, or more for two digits of a small std.

    >>> format_spread(0.000177, 4.95e-6), format_spread(2.0, 1.4142), format_spread(250.0, 0.0123)
    ('0.0001770 ± 0.0000050', '2.000 ± 1.414', '250.0 ± 0.012')
    """
    if not (math.isfinite(mean) and math.isfinite(std)) or abs(mean) < 1e-5:
        return f"{format_value(mean)} ± {format_value(std)}"
    decimals = _decimals(mean)
    shown = f"{std:.{decimals}f}" if std == 0 or std >= 10**-decimals else f"{std:.2g}"
    return f"{mean:.{decimals}f} ± {shown}"


def _decimals(value: float) -> int:
    """Return the number of decimals for four significant digits."""
    return max(3 - int(f"{value:.3e}".partition("e")[2]), 0)


def format_count(count: int) -> str:
    """Format a parameter count in thousands or millions.

    >>> format_count(9_545_442), format_count(12_300), format_count(0)
    ('9.55 M', '12.3 k', '0')
    """
    if count >= 1_000_000:
        return f"{count / 1e6:.2f} M"
    return f"{count / 1e3:.1f} k" if count >= 1000 else str(count)


def format_large(value: float) -> str:
    """Format with three digits and a decimal prefix.

    >>> format_large(9.24e10), format_large(60_762_700), format_large(812), format_large(0)
    ('92.4 G', '60.8 M', '812', '0')
    """
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{prefix}" if value < 1000 * factor else f"{value / factor:.0f}{prefix}"
    return f"{value:g}"


def format_duration(seconds: float) -> str:
    """Format a duration in a suitable unit.

    >>> format_duration(0.042), format_duration(4.23), format_duration(90), format_duration(7300), format_duration(5e6)
    ('42 ms', '4.2 s', '90 s', '2.0 h', '57.9 days')
    """
    if 0 < seconds < 0.95:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def format_digits(value: float) -> str:
    """Format with three significant digits, or all digits of a larger integer part.

    >>> format_digits(12345.6), format_digits(12.345), format_digits(0.5)
    ('12346', '12.3', '0.500')
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def format_time(seconds: float) -> str:
    """Format a measured time in milliseconds, or in seconds from one second on.

    >>> format_time(0.0123), format_time(2.5), format_time(0.00001)
    ('12.3 ms', '2.500 s', '0.010 ms')
    """
    return f"{format_digits(seconds)} s" if seconds >= 1 else f"{format_digits(1e3 * seconds)} ms"


def format_bytes(count: float) -> str:
    """Format bytes in GB, or MB if few.

    >>> format_bytes(2.6e9), format_bytes(3e6)
    ('2.60 GB', '3 MB')
    """
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def format_work(count: float) -> str:
    """Format multiply-adds in 10⁹, or 10⁶ if few, with two decimals.

    >>> format_work(20_737_425_408), format_work(5_000_000), format_work(0)
    ('20.74 G', '5.00 M', '0')
    """
    if not count:
        return "0"
    return f"{count / 1e9:.2f} G" if count >= 1e8 else f"{count / 1e6:.2f} M"


def format_printed(value: float) -> str:
    """Format a published number with the digits with which it was printed.

    >>> format_printed(0.3108), format_printed(26.0)
    ('0.3108', '26')
    """
    return f"{value:g}"


def arrow(metric: str) -> str:
    """Return an arrow for a metric's direction of improvement, with the best value if it is neither high nor low."""
    known = get_metric(metric)
    return f"→ {known.best:g}" if known.best is not None else "↓" if known.lower_is_better else "↑"
