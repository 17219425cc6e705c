"""The report of a dataset: one HTML file that holds everything it shows and runs nothing.

Everything that came out of a corpus is escaped, and what hides is made visible.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from loray.data.review.facts import Facts, stage_of
from loray.data.review.folder import whole_file
from loray.pages.bars import Histogram, bar_list, histogram
from loray.pages.environment import environment_of

BINS = 40
TEXT_CHARS = 1200
"""Characters of a turn that are shown."""
QUANTILES = (0.5, 0.9, 0.99, 1.0)


def write_report(path: Path, facts: Facts) -> None:
    """Write the report to `path`, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(render_report(facts))


def render_report(facts: Facts) -> str:
    """The report's HTML; the same dataset gives the same bytes."""
    environment = environment_of("loray.data.review")
    environment.filters |= {"cut": cut, "percent": percent}
    environment.globals |= {"stage_of": stage_of}
    return environment.get_template("dataset.html.j2").render(
        manifest=facts.manifest,
        statistics=facts.statistics,
        data=facts.data,
        sources=list(sources_of(facts)),
        tiles=list(tiles(facts)),
        reason_plot=reason_plot(facts.statistics["rows"]["rejected_by"]),
        changed_plot=counts_plot("rows changed, by step", facts.statistics["changed_by"]),
        found_plot=counts_plot("values replaced, by kind", facts.statistics.get("found", {})),
        seconds_plot=seconds_plot(facts.statistics["seconds"]),
        length_plots=length_plots(facts),
        quantiles=quantiles(facts),
        pairs=facts.pairs,
        samples=facts.samples,
    )


def tiles(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """(title, figure, caption) of the numbers at the top of the page."""
    found = facts.statistics
    rows = found["rows"]
    yield "rows kept", f"{rows['kept']:,}", f"of {rows['in']:,} that came in"
    spare = rows["rejected_by"].get("not_drawn", 0)
    share = percent(rows["quarantined"], rows["in"])
    unneeded = f"; {spare:,} of them replay that was not needed" if spare else ""
    yield "put aside", f"{rows['quarantined']:,}", f"{share}{unneeded}"
    learned = percent(found["target_tokens"], found["tokens"])
    yield "training tokens", f"{found['tokens']:,}", f"{learned} of them are learned"
    full = f"{100 * found['packing_efficiency']:.1f}% of max_tokens filled"
    yield "training sequences", f"{found['packs']:,}", f"from {found['sequences']:,} rows; {full}"
    if facts.data.get("replay"):
        asked = facts.data["replay"]["fraction"]
        share = f"{100 * found['replay_fraction']:.2f}%"
        yield "replay", share, f"of what is learned; {100 * asked:g}% asked for"


def sources_of(facts: Facts) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(label, where it is, counts) of each source."""
    places = {f"sources.{at}": source for at, source in enumerate(facts.data["sources"])}
    if facts.data.get("replay"):
        places["replay"] = facts.data["replay"]["source"]
    for label, counts in facts.statistics["sources"].items():
        yield label, places.get(label, {}).get("uri", ""), counts


def reason_plot(rejected_by: Mapping[str, int]) -> Markup | None:
    """Rows put aside for each reason, the commonest first, with who gives it."""
    named = [(f"{stage_of(reason)}: {reason}", count) for reason, count in rejected_by.items()]
    ordered = sorted(named, key=lambda pair: (-pair[1], pair[0]))
    return bar_list(ordered, title="rows put aside, by reason", css="base") if ordered else None


def counts_plot(title: str, counts: Mapping[str, int]) -> Markup | None:
    """Bars of counts, the greatest first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return bar_list(ordered, title=title) if ordered else None


def seconds_plot(seconds: Mapping[str, float]) -> Markup | None:
    """Seconds of all workers together, in the order in which the steps ran."""
    spent = [(name, float(value)) for name, value in seconds.items() if name != "total"]
    return bar_list(spent, title="worker seconds, by step") if spent else None


def length_plots(facts: Facts) -> list[tuple[str, Markup]]:
    """(title, histogram) of the tokens of training sequences before packing."""
    if not len(facts.lengths.whole):
        return []
    max_tokens = int(facts.data["sequence"]["max_tokens"])
    return [
        ("Whole sequence", length_plot(facts.lengths.whole, max_tokens)),
        ("Prompt: seen, not learned", length_plot(facts.lengths.context, max_tokens)),
        ("Answer: learned", length_plot(facts.lengths.learned, max_tokens)),
    ]


def length_plot(lengths: np.ndarray, max_tokens: int) -> Markup:
    """Sequences by tokens; the axis ends at the longest where that is far below the limit."""
    longest = int(lengths.max())
    last = max_tokens if longest > max_tokens / 4 else longest
    width = max(-(-(last + 1) // BINS), 1)
    edges = np.arange(0, last + width + 1, width)
    counts, _ = np.histogram(lengths, edges)
    return histogram(
        Histogram("tokens", counts.tolist(), edges.tolist(), limit=("max_tokens", max_tokens))
    )


def quantiles(facts: Facts) -> list[tuple[str, list[int]]]:
    """(what, tokens at the median, the 90th and 99th percentile, and at most)."""
    lengths = facts.lengths
    named = {"whole": lengths.whole, "prompt": lengths.context, "answer": lengths.learned}
    return [
        (name, np.quantile(values, QUANTILES, method="higher").astype(int).tolist())
        for name, values in named.items()
        if len(values)
    ]


def percent(part: float, whole: float) -> str:
    """A share in percent; a dash of nothing."""
    return f"{100 * part / whole:.1f}%" if whole else "\N{EN DASH}"


def cut(text: str) -> str:
    """The start of a long text, and how much is left out."""
    if len(text) <= TEXT_CHARS:
        return text
    return f"{text[:TEXT_CHARS]} ... ({len(text) - TEXT_CHARS:,} characters more)"
