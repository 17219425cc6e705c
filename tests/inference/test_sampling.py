import pytest
import torch

from loray.inference.request import SamplingParams
from loray.inference.sampling import Sampler, choose, entropy


def logits(rows: int, seed: int = 0, size: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, 50, generator=torch.Generator().manual_seed(seed)) * size


def sampler(**options) -> Sampler:
    return Sampler(SamplingParams(1, **options))


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 1000.0])
def test_entropy_equals_that_of_torch_distributions(size):
    z = logits(8, size=size)
    wanted = torch.distributions.Categorical(logits=z.double()).entropy()
    assert torch.allclose(entropy(z).double(), wanted, atol=1e-5)


def test_entropy_is_not_finite_when_a_logit_is_not():
    z = logits(3)
    z[0, 3], z[1, 4] = float("nan"), float("inf")
    assert torch.isfinite(entropy(z)).tolist() == [False, False, True]


def test_temperature_zero_takes_the_likeliest():
    z = logits(4)
    tokens, _ = choose(z, [sampler()] * 4)
    assert tokens == z.argmax(-1).tolist()


@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_draws_follow_the_distribution(top_p):
    z = logits(1, size=1.0)
    probabilities = (z[0].double() / 0.7).softmax(-1)
    order = probabilities.argsort(descending=True)
    before = probabilities[order].cumsum(0) - probabilities[order]
    probabilities[order[before >= top_p]] = 0
    probabilities /= probabilities.sum()
    one, n = sampler(temperature=0.7, top_p=top_p, seed=1), 20000
    tokens = torch.tensor([choose(z.expand(500, -1), [one] * 500)[0] for _ in range(n // 500)])
    found = torch.bincount(tokens.flatten(), minlength=50) / n
    assert found[probabilities == 0].sum() == 0
    # Five standard deviations of a binomial share.
    assert ((found - probabilities).abs() <= 5 * (probabilities / n).sqrt() + 1e-9).all()


def test_a_small_top_p_leaves_only_the_likeliest():
    z = logits(4)
    tokens, _ = choose(z, [sampler(temperature=5.0, top_p=1e-9, seed=i) for i in range(4)])
    assert tokens == z.argmax(-1).tolist()


def test_a_seed_draws_the_same_whatever_the_neighbours():
    z = logits(6)
    alone = [choose(z[2:3], [sampler(temperature=1.0, seed=7)])[0][0]]
    crowd = [
        sampler(temperature=0.5, top_p=0.5, seed=1),
        sampler(),
        sampler(temperature=1.0, seed=7),
        sampler(temperature=1.0),
        sampler(temperature=2.0, top_p=0.9),
        sampler(temperature=1.0, seed=7),
    ]
    assert choose(z, crowd)[0][2] == alone[0]


def test_a_negative_seed_draws_other_tokens_than_its_absolute_value():
    z = logits(1)
    drawn = {
        seed: [choose(z, [one])[0][0] for _ in range(20)]
        for seed in (-7, 7)
        for one in [sampler(temperature=2.0, seed=seed)]
    }
    assert drawn[-7] != drawn[7]


def test_without_a_seed_draws_differ():
    z = torch.zeros(1, 50)
    assert len({choose(z, [sampler(temperature=1.0)])[0][0] for _ in range(40)}) > 5


def test_a_temperature_near_zero_is_no_division_by_zero():
    z = logits(3)
    tokens, _ = choose(z, [sampler(temperature=1e-300, top_p=0.5, seed=1)] * 3)
    assert tokens == z.argmax(-1).tolist()
