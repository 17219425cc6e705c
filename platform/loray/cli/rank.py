"""`loray registry rank`: which rank an adapter needs, and a version that has no more."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from loray.cli.options import Number, json_option
from loray.cli.output import emit_json, say, show_table
from loray.cli.spectra import percent, powers_below, show_spectra

if TYPE_CHECKING:
    from loray.cli.registry import Place
    from loray.models.rank_advice import RankSummary
    from loray.models.spectrum import ModuleSpectrum
    from loray.registry import Version
    from loray.registry.truncate import TruncatedVersion

AUTO = "auto"
MAX_RANK = 1024
DORA_NOTE = (
    "It is a DoRA: these are the directions of B A; what its magnitudes add is not in them, and "
    "it cannot be cut."
)


class _Rank(click.ParamType[int | str]):
    name = "rank"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """A rank, or the word that asks for one from the energy."""
        text = str(value)
        if text == AUTO:
            return AUTO
        if not text.isdecimal() or not 1 <= int(text) <= MAX_RANK:
            self.fail(f"found {text!r}; wanted a rank from 1 to {MAX_RANK}, or {AUTO}", param, ctx)
        return int(text)


@click.command()
@click.argument("ref")
@click.option(
    "--keep",
    type=Number(0, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="Share of each module's energy, the squared singular values, that is to be kept.",
)
@click.option(
    "--truncate",
    type=_Rank(),
    metavar="RANK|auto",
    help="Make the next version, no module of it above RANK; auto: each at the smallest rank "
    "that keeps --keep.",
)
@click.option("--all", "is_full", is_flag=True, help="List every module by itself.")
@json_option
@click.pass_obj
def rank(
    place: "Place",
    ref: str,
    *,
    keep: float,
    truncate: int | str | None,
    is_full: bool,
    as_json: bool,
) -> None:
    """Say which rank an adapter needs, from the singular values of its updates.

    With --truncate, cut it: the closest adapter of lower rank becomes the next version. It was not
    scored and passed no gate, so no alias moves.
    """
    registry = place.open()
    version = registry.resolve(ref)
    if truncate is not None:
        from loray.registry.truncate import truncate_version

        wanted = None if isinstance(truncate, str) else truncate
        made = truncate_version(registry, version, rank=wanted, keep=keep)
        _tell_cut(version, made, as_json=as_json)
        return
    from loray.models.adapter_files import read_config
    from loray.models.rank_advice import advise, summarise
    from loray.models.spectrum import adapter_spectra

    folder = registry.fetch(version)
    spectra = adapter_spectra(folder)
    summary = summarise(spectra, keep)
    advice = advise(summary, version.ref)
    if read_config(folder).use_dora:
        advice = (DORA_NOTE, *advice)
    if as_json:
        emit_json(_document(version, spectra, summary) | {"advice": list(advice)})
    else:
        _tell(version, spectra, summary, advice, is_full=is_full)


def _tell(
    version: "Version",
    spectra: "Sequence[ModuleSpectrum]",
    summary: "RankSummary",
    advice: Sequence[str],
    *,
    is_full: bool,
) -> None:
    from loray.models.spectrum import kept_in_all

    say(f"{version.ref}: singular values of (alpha / r) B A in {summary.num_modules} modules")
    say()
    show_spectra(spectra, summary.keep, is_grouped=not is_full)
    say()
    show_table(
        ("all cut to", "energy kept", "least of a module", "module"),
        [
            (r, percent(kept_in_all(spectra, r)), *_least(spectra, r))
            for r in powers_below(summary.rank)
        ],
    )
    say()
    for sentence in advice:
        say(sentence)


def _least(spectra: "Sequence[ModuleSpectrum]", rank: int) -> tuple[str, str]:
    """The smallest share that a module keeps at a rank, and the module."""
    share, module = min((found.kept(rank), found.module) for found in spectra)
    return percent(share), module


def _tell_cut(parent: "Version", made: "TruncatedVersion", *, as_json: bool) -> None:
    version, cut = made.version, made.truncation
    if as_json:
        emit_json(_cut_document(parent, made))
        return
    before, after = cut.ranks
    lower = sum(module.rank < module.old_rank for module in cut.modules)
    say(
        f"{version.ref} is {parent.ref} cut from rank {before} to {after} "
        f"({lower} of {len(cut.modules)} modules)"
    )
    say(f"  energy kept     {percent(cut.kept)}")
    say(f"  relative error  {cut.relative_error:.4g}, measured on what was written")
    say(f"  weights         {made.old_bytes:,} bytes before, {made.new_bytes:,} after")
    say(
        f"it is {version.state}: it was not scored and passed no gate, and no alias moved; "
        f"to try it: loray registry alias {version.name} canary {version.number}"
    )


def _document(
    version: "Version", spectra: "Sequence[ModuleSpectrum]", summary: "RankSummary"
) -> dict[str, Any]:
    from loray.models.spectrum import kept_in_all

    return {
        "version": version.ref,
        "keep": summary.keep,
        "rank": summary.rank,
        "rank_keeping": summary.enough,
        "median_rank_keeping": summary.median,
        "energy_kept": [kept_in_all(spectra, rank) for rank in range(1, summary.rank + 1)],
        "modules": [
            {
                "module": found.module,
                "rank": found.rank,
                "rank_keeping": found.rank_keeping(summary.keep),
                "effective_rank": found.effective_rank,
                "singular_values": list(found.singular_values),
                "energy_kept": [found.kept(rank) for rank in range(1, found.rank + 1)],
            }
            for found in spectra
        ],
    }


def _cut_document(parent: "Version", made: "TruncatedVersion") -> dict[str, Any]:
    cut = made.truncation
    return {
        "version": made.version.ref,
        "parent": parent.ref,
        "state": made.version.state,
        "energy_kept": cut.kept,
        "relative_error": cut.relative_error,
        "bytes": {"before": made.old_bytes, "after": made.new_bytes},
        "modules": [vars(module) for module in cut.modules],
    }
