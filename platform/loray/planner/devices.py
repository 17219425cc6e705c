"""Memory and speed of well-known devices."""

import difflib
import re
from dataclasses import dataclass

from loray.errors import SpecError

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
    """Dense matrix products a second in bfloat16, by its datasheet; None before Ampere, and where
    no datasheet says it."""

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
    "p100": Device(16276, None),
    "v100-16g": Device(16384, None),
    "v100-32g": Device(32768, None),
    "a2": Device(15356, 18),
    "a10": Device(23028, 125),
    "a10g": Device(23028, 70),
    "a16": Device(15356, 18),
    "a30": Device(24576, 165),
    "l4": Device(23034, 121),
    "rtx3060": Device(12288, None),
    "rtx3090": Device(24576, 71),
    "rtx4060ti-16g": Device(16380, None),
    "rtx4070ti-super": Device(16376, None),
    "rtx4080": Device(16376, 97),
    "rtx4090": Device(24564, 165),
    "rtx5080": Device(16303, 113),
    "rtx5090": Device(32607, 209),
    "a40": Device(46068, 150),
    "a5000": Device(24564, 111),
    "a6000": Device(49140, 155),
    "rtx6000-ada": Device(49140, 364),
    "rtx-pro-6000": Device(97887, None),
    "l40": Device(46068, 181),
    "l40s": Device(46068, 362),
    "a100-40g": Device(40960, 312),
    "a100-80g": Device(81920, 312),
    "h100-pcie": Device(81559, 756),
    "h100-80g": Device(81559, 989),
    "h100-94g": Device(95830, 835),
    "h20": Device(97871, 148),
    "gh200": Device(97871, 989),
    "h200": Device(143771, 989),
    "b200": Device(183359, 2250),
    "mi210": Device(65520, 181),
    "mi250x": Device(65520, 191),
    "mi300x": Device(196592, 1307),
    "mi325x": Device(262128, 1307),
}
"""By name. An A16 is a quarter of a card and an MI250X half of one: what one worker has."""

SMALLER = {
    "a100": ("a100-40g", "a100-80g"),
    "h100": ("h100-80g", "h100-94g"),
    "v100": ("v100-16g", "v100-32g"),
}
"""Names that are sold with more than one memory; the smaller is planned for, since what fits it
fits the larger, too."""

ALIASES = {
    "3090": "rtx3090",
    "4090": "rtx4090",
    "5090": "rtx5090",
    "a100-40gb": "a100-40g",
    "a100-80gb": "a100-80g",
    "a100-sxm4-40gb": "a100-40g",
    "a100-sxm4-80gb": "a100-80g",
    "h100-80gb": "h100-80g",
    "h100-nvl": "h100-94g",
    "h100-sxm": "h100-80g",
    "rtx-a5000": "a5000",
    "rtx-a6000": "a6000",
    "tesla-p100": "p100",
    "tesla-t4": "t4",
    "tesla-v100": "v100",
}
"""Other names."""

REPORTED = {
    "Tesla T4": "t4",
    "Tesla V100-SXM2-16GB": "v100-16g",
    "Tesla V100-SXM2-32GB": "v100-32g",
    "A10": "a10",
    "A10G": "a10g",
    "A30": "a30",
    "A40": "a40",
    "B200": "b200",
    "L4": "l4",
    "GeForce RTX 3090": "rtx3090",
    "GeForce RTX 4090": "rtx4090",
    "GeForce RTX 5090": "rtx5090",
    "L40": "l40",
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
        near = _nearest(name)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise SpecError(
            f"--device: found {name!r}; {meant}wanted one of {', '.join(DEVICES)}; for another "
            "one, give its memory: --device 96gib:4, or --device-gib 96 for as many workers as the "
            "spec has"
        )
    if count and not (count.isdecimal() and 1 <= int(count) <= 4096):
        raise SpecError(
            f"--device: found {count!r} after the colon; wanted how many there are, from 1 to 4096"
        )
    return device, int(count or 1)


def assumed_words(text: str) -> str | None:
    """Which device was taken for a name, in words; None where the name says it itself.

    Args:
        text: as `parse_devices` takes it.
    """
    name = text.partition(":")[0]
    plain, known = _plain(name), _known_name(name)
    if known not in DEVICES or known == plain:
        return None
    words = f"{known}, {DEVICES[known].gib:.1f} GiB"
    both = SMALLER.get(ALIASES.get(plain, plain))
    if both is None:
        return f"{words}: what {name} stands for"
    return f"{words}: the smaller that {name} is sold with; for the larger, say {both[1]}"


def is_tried(device: Device) -> bool:
    """Whether loray was made for its maker's devices: AMD's were never tried."""
    return not any(device is known for name, known in DEVICES.items() if name.startswith("mi"))


def _plain(name: str) -> str:
    plain = re.sub(r"[\s_]+", "-", name.strip().lower())
    plain = re.sub(r"^(nvidia|amd|instinct)-", "", re.sub(r"^(nvidia|amd)-", "", plain))
    return re.sub(r"^(geforce-)?rtx-(?=\d)", "rtx", plain)


def _known_name(name: str) -> str:
    """What it is called here; itself where it is not known."""
    plain = _plain(name)
    plain = ALIASES.get(plain, plain)
    return SMALLER.get(plain, (plain,))[0]


def _nearest(name: str) -> list[str]:
    plain = _plain(name)
    near = difflib.get_close_matches(plain, [*DEVICES, *SMALLER], n=2, cutoff=0.6)
    begins = [known for known in DEVICES if len(plain) > 1 and known.startswith(plain)]
    return list(dict.fromkeys([*begins, *near]))[:3]


def _of_memory(name: str) -> Device | None:
    found = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*gib", name.strip().lower())
    return Device(round(float(found[1]) * 1024), None) if found and float(found[1]) else None
