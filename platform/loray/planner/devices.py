"""Memory and speed of well-known devices."""

import re
from dataclasses import dataclass

from loray.errors import SpecError
from loray.spec.faults import did_you_mean

UTILIZATION = 0.35
"""Share of its peak that a device is planned to reach, recomputing counted.

A QLoRA step of an 8B Llama reached 0.37 on an H200, packed 0.33: `docs/measurements/gpu.md`.
"""


@dataclass(frozen=True)
class Device:
    """One kind of device."""

    mib: int
    """Memory, as `nvidia-smi` reports it."""
    tflops: int | None
    """Dense matrix products a second in bfloat16, by its datasheet; none before Ampere."""

    @property
    def gib(self) -> float:
        """Memory, GiB."""
        return self.mib / 1024

    def hours(self, flops: float, count: int, *, dtype: str) -> float | None:
        """How long `count` of them take for `flops` together, at `UTILIZATION`.

        Args:
            dtype: the type of computation; only of bfloat16 is the peak known.
        """
        if self.tflops is None or dtype != "bfloat16":
            return None
        return flops / (count * self.tflops * 1e12 * UTILIZATION) / 3600


DEVICES = {
    "t4": Device(15360, None),
    "v100-16g": Device(16384, None),
    "v100-32g": Device(32768, None),
    "a10g": Device(23028, 70),
    "l4": Device(23034, 121),
    "rtx3090": Device(24576, 71),
    "rtx4090": Device(24564, 165),
    "rtx5090": Device(32607, 209),
    "a40": Device(46068, 150),
    "a6000": Device(49140, 155),
    "l40s": Device(46068, 362),
    "a100-40g": Device(40960, 312),
    "a100-80g": Device(81920, 312),
    "h100-80g": Device(81559, 989),
    "h100-94g": Device(95830, 835),
    "h200": Device(143771, 989),
    "b200": Device(183359, 2250),
}

ALIASES = {
    "a10": "a10g",
    "a100": "a100-80g",
    "a100-40gb": "a100-40g",
    "a100-80gb": "a100-80g",
    "h100": "h100-80g",
    "h100-80gb": "h100-80g",
    "h100-nvl": "h100-94g",
    "3090": "rtx3090",
    "4090": "rtx4090",
    "5090": "rtx5090",
    "rtx-a6000": "a6000",
    "tesla-t4": "t4",
    "v100": "v100-16g",
}
"""Other names; a name without its memory stands for the usual one."""

REPORTED = {
    "Tesla T4": "t4",
    "Tesla V100-SXM2-16GB": "v100-16g",
    "Tesla V100-SXM2-32GB": "v100-32g",
    "A10G": "a10g",
    "L4": "l4",
    "GeForce RTX 3090": "rtx3090",
    "GeForce RTX 4090": "rtx4090",
    "RTX A6000": "a6000",
    "L40S": "l40s",
    "A100-SXM4-40GB": "a100-40g",
    "A100-PCIE-40GB": "a100-40g",
    "A100-SXM4-80GB": "a100-80g",
    "A100 80GB PCIe": "a100-80g",
    "H100 80GB HBM3": "h100-80g",
    "H200": "h200",
}
"""What the driver calls them, `NVIDIA` left out; a slice (MIG) or a slower form is none of them."""


def device_reported(name: str) -> Device | None:
    """The device that CUDA reports as `name`, such as `NVIDIA H200`; None if it is not known."""
    known = REPORTED.get(name.removeprefix("NVIDIA "))
    return None if known is None else DEVICES[known]


def parse_devices(text: str) -> tuple[Device, int]:
    """A kind of device and how many there are, from `NAME` or `NAME:COUNT`.

    A memory such as `96gib` stands for a device of which nothing else is known.

    Raises:
        SpecError: no such device, or no such count.
    """
    name, _, count = text.partition(":")
    device = DEVICES.get(_known_name(name)) or _of_memory(name)
    if device is None:
        near = did_you_mean(_known_name(name), list(DEVICES))
        meant = f"did you mean {near}? " if near else ""
        raise SpecError(
            f"--device: found {name!r}; {meant}wanted one of {', '.join(DEVICES)}; for another "
            "one, give its memory, such as 96gib"
        )
    if count and not (count.isdecimal() and 1 <= int(count) <= 4096):
        raise SpecError(
            f"--device: found {count!r} after the colon; wanted how many there are, from 1 to 4096"
        )
    return device, int(count or 1)


def name_of(device: Device) -> str | None:
    """What a known device is called here."""
    return next((name for name, known in DEVICES.items() if known is device), None)


def _known_name(name: str) -> str:
    plain = re.sub(r"[\s_]+", "-", name.strip().lower()).removeprefix("nvidia-")
    plain = re.sub(r"^(geforce-)?rtx-(?=\d)", "rtx", plain)
    return ALIASES.get(plain, plain)


def _of_memory(name: str) -> Device | None:
    found = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*gib", name.strip().lower())
    return Device(round(float(found[1]) * 1024), None) if found and float(found[1]) else None
