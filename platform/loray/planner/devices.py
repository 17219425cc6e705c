"""Memory of well-known devices, as `nvidia-smi` reports it."""

from loray.errors import SpecError

MIB = {
    "t4": 15360,
    "v100-16g": 16384,
    "v100-32g": 32768,
    "a10g": 23028,
    "l4": 23034,
    "rtx3090": 24576,
    "rtx4090": 24564,
    "a100-40g": 40960,
    "a100-80g": 81920,
    "l40s": 46068,
    "a6000": 49140,
    "h100-80g": 81559,
    "h200": 143771,
}


def parse_devices(text: str) -> tuple[float, int]:
    """GiB of one device and how many there are, from `NAME` or `NAME:COUNT`.

    Raises:
        SpecError: no such device, or no such count.
    """
    name, _, count = text.partition(":")
    if name not in MIB:
        raise SpecError(
            f"--device: found {name!r}; wanted one of {', '.join(MIB)}; for another one, give its "
            "memory with --device-gib"
        )
    if count and not (count.isdecimal() and 1 <= int(count) <= 4096):
        raise SpecError(
            f"--device: found {count!r} after the colon; wanted how many there are, from 1 to 4096"
        )
    return MIB[name] / 1024, int(count or 1)
