"""When an alias moves to a version that passed its gates, and when it stays where it is.

The rule, by the log alone, so that it is the same for everyone who asks:

1. An alias never goes by itself to a version that it named before: a rollback stays.
2. It never goes to a version older than the newest that it ever named: of two runs, the slower one
   does not take the newer one's place.
3. After a step back (a rollback, an older version promoted by force, the alias taken away) it only
   goes to a version that was registered after that step.
"""

from collections.abc import Callable, Sequence

from loray.errors import AliasMovedError
from loray.registry import Event, Registry, Version

_TRIES = 10
PASSED = "passed its gates"


def promote_if_due(
    registry: Registry,
    version: Version,
    *,
    alias: str,
    check: Callable[[], None],
    report: Callable[[str], None],
) -> bool:
    """Move the alias to the version if the rule lets it; whether it names the version now.

    The alias is read first and moved by compare-and-swap: if someone moves it in between, the rule
    is asked again.

    Args:
        check: raises where this process may not publish any more.

    Raises:
        AliasMovedError: it was moved by others again and again.
    """
    tries_left = _TRIES
    while True:
        seen = registry.alias(version.name, alias)
        if seen.version == version.number:
            return True
        why = reason_to_stay(version, registry.events(version.name), alias)
        if why is not None:
            report(f"registry: {version.name}@{alias} stays where it is: {why}")
            return False
        check()
        try:
            registry.promote(version, alias, expected_generation=seen.generation, reason=PASSED)
        except AliasMovedError:
            tries_left -= 1
            if not tries_left:
                raise
            report(f"registry: {version.name}@{alias} was moved just now; deciding again")
        else:
            report(f"registry: {version.name}@{alias} now is {version.ref}")
            return True


def reason_to_stay(version: Version, events: Sequence[Event], alias: str) -> str | None:
    """Why an alias does not go to a version by itself; None when it does.

    Args:
        events: all of the version's adapter, oldest first.
    """
    moves = [event for event in events if event.alias == alias]
    by_hand = f"`loray registry promote {version.ref} --alias {alias}` moves it all the same"
    if any(move.to_version == version.number for move in moves):
        return f"it named {version.ref} before and was moved away since; {by_hand}"
    newest = max((move.to_version or 0 for move in moves), default=0)
    if newest > version.number:
        return f"it has named {version.name}@{newest}, which is newer; {by_hand} (with --force)"
    made = next(e.id for e in events if _is_registration(e, version))
    steps = [move for move in _steps_back(moves) if move.id > made]
    if steps:
        at = "nothing" if steps[-1].to_version is None else f"{version.name}@{steps[-1].to_version}"
        return f"{steps[-1].who} moved it back to {at} after {version.ref} was made; {by_hand}"
    return None


def _is_registration(event: Event, version: Version) -> bool:
    return event.kind == "registered" and event.to_version == version.number


def _steps_back(moves: Sequence[Event]) -> list[Event]:
    """Moves to nothing, or to a version older than one that was named before."""
    newest, steps = 0, []
    for move in moves:
        number = move.to_version or 0
        if number < newest:
            steps.append(move)
        newest = max(newest, number)
    return steps
