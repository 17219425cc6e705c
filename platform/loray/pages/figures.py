"""Numbers as a newcomer reads them."""


def number(value: float | None) -> str:
    """Three significant digits, more for a large whole number; a dash for no value."""
    if value is None:
        return "\N{EN DASH}"
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}"


def count(value: int) -> str:
    """A whole number with its thousands parted."""
    return f"{value:,}"
