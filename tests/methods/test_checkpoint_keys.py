"""What a checkpoint holds of a method keeps its name and order, so that a run begun with an older version goes on.

An optimizer's state is by the position of a weight: the order of weights matters as the names do.
"""

from typing import Any

import pytest
import torch
from torch import nn

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Method, Problem
from tests.methods.examples import EXAMPLES, FEW_TRUSTED, TRUSTED, make

FORGETTING = (
    "forgetting.remember_rate forgetting.estimate forgetting.of_first.total.values forgetting.of_second.total.values"
)
MENTOR = (
    "mentor.index mentor.label mentor.row mentor.history mentor.right mentor.known mentor.percentage mentor.lesson "
    "mentor.taught mentor.accuracy mentor.network.embedding mentor.network.gates.weight mentor.network.gates.bias "
    "mentor.network.hidden.weight mentor.network.hidden.bias mentor.network.output.weight mentor.network.output.bias"
)
MENTOR_NET = "average seed seen to_see drawn backbone.weight"
PROJECTION = (
    "projection_{0}.linear.weight projection_{0}.linear.bias projection_{0}.norm.weight projection_{0}.norm.bias "
    "projection_{0}.norm.running_mean projection_{0}.norm.running_var projection_{0}.norm.num_batches_tracked"
)
PAIR = "first.weight second.weight"
SLN = "seed epoch noise_now relabelled backbone.weight average.network.weight"
NEIGHBORS = "shares backbone.weight random.seed random.batches logits.values labels.values weights.values"
HEAD = (
    "{0}.0.weight {0}.0.bias {0}.1.weight {0}.1.bias {0}.1.running_mean {0}.1.running_var {0}.1.num_batches_tracked "
    "{0}.3.weight {0}.3.bias"
)
ADAM = "retraining.adams.0.first retraining.adams.0.second retraining.adams.0.count"

# With a network of one weight.
KEYS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("Standard", {}, "backbone.weight"),
    ("DynamicWeights", {}, "backbone.weight"),
    ("VolMinNet", {}, "weight velocity backbone.weight"),
    (
        "TRevision",
        {},
        "slack estimated revising backbone.weight noise.matrix noise.known noise.unseen.total.values adam.first "
        "adam.second adam.count adams.0.first adams.0.second adams.0.count",
    ),
    ("PeerLoss", {}, "alpha_now backbone.weight peers.seed peers.values"),
    ("FDivergence", {}, "warm reached backbone.weight peers.seed peers.values"),
    (
        "CAL",
        {},
        "alpha_now epoch prior shares matrix means relabelled sums backbone.weight initial.value_0 distilled.values",
    ),
    ("L2RW", {"trusted": FEW_TRUSTED}, "backbone.weight"),
    (
        "MetaWeightNet",
        {"trusted": FEW_TRUSTED},
        "backbone.weight weighing.0.weight weighing.0.bias weighing.2.weight weighing.2.bias "
        + " ".join(f"adams.{number}.{name}" for number in range(4) for name in ("first", "second", "count")),
    ),
    ("Decoupling", {}, f"steps {PAIR}"),
    ("CoTeaching", {"forget_rate": 0.3}, f"{PAIR} {FORGETTING}"),
    ("CoTeaching", {}, f"{PAIR} {FORGETTING}"),
    ("CoTeachingPlus", {"forget_rate": 0.3}, f"started {PAIR} {FORGETTING}"),
    ("CoTeachingPlus", {}, f"started {PAIR} {FORGETTING}"),
    ("JoCoR", {"forget_rate": 0.3}, f"{PAIR} {FORGETTING}"),
    ("JoCoR", {}, f"{PAIR} {FORGETTING}"),
    ("INCVCoTeaching", {}, f"selected candidates joined {PAIR} {FORGETTING}"),
    (
        "INCVCoTeaching",
        {"noise_rate": "estimate"},
        f"selected candidates joined {PAIR} {FORGETTING}",
    ),
    ("MentorNet", {}, MENTOR_NET),
    ("MentorNet", {"curriculum": "learned", "trusted": TRUSTED}, f"{MENTOR_NET} {MENTOR}"),
    (
        "DimensionalityDriven",
        {},
        "seed estimates recent lowest turning_epoch alpha backbone.weight before.weight",
    ),
    ("DimensionalityDriven", {"roll_back": False}, "seed estimates recent lowest turning_epoch alpha backbone.weight"),
    (
        "ForwardCorrection",
        {},
        "backbone.weight noise.matrix noise.known noise.unseen.total.values noise.initial.value_0",
    ),
    ("ForwardCorrection", {"restart": False}, "backbone.weight noise.matrix noise.known noise.unseen.total.values"),
    (
        "BackwardCorrection",
        {},
        "inverse backbone.weight noise.matrix noise.known noise.unseen.total.values noise.initial.value_0",
    ),
    ("SampleSelectionCORES", {}, "beta_now sieving prior kept_labels backbone.weight"),
    ("SOP", {}, "backbone.weight samples.noise_rate samples.u.values samples.v.values"),
    ("SOPPlus", {}, "backbone.weight samples.noise_rate samples.u.values samples.v.values"),
    ("EarlyLearningRegularization", {}, "contradicted backbone.weight targets.values"),
    (
        "EarlyLearningRegularizationPlus",
        {},
        f"seed batches steps contradicted {PAIR} first_average.network.weight second_average.network.weight "
        "first_targets.values second_targets.values",
    ),
    ("SelfAdaptiveTraining", {}, "momentum_now relabelled backbone.weight targets.values"),
    ("SelfEnsembleLabelCorrection", {}, "momentum_now relabelled backbone.weight targets.values"),
    ("StochasticLabelNoise", {}, SLN),
    ("StochasticLabelNoise", {"correction_epoch": 2}, f"{SLN} targets.values given_weights.values"),
    (
        "DivideMix",
        {},
        f"seed epoch served size labelled {PAIR} by_first.values by_second.values losses_first.values "
        "losses_second.values",
    ),
    (
        "DISC",
        {},
        "epoch shares backbone.weight random.seed random.batches p_weak.values p_strong.values tau_weak.values "
        "tau_strong.values clean.values hard.values purified.values labels.values",
    ),
    ("SSR", {}, NEIGHBORS),
    ("SSRPlus", {}, f"{NEIGHBORS} {HEAD.format('projection')} {HEAD.format('prediction')}"),
    (
        "PES",
        {},
        f"share backbone.weight retraining.phase retraining.new_weights.0.value_0 retraining.new_weights.1.value_0 "
        f"{ADAM} weights.values",
    ),
    (
        "PESSemi",
        {},
        f"share balance alpha_now epochs served size backbone.weight retraining.phase "
        f"retraining.new_weights.0.value_0 {ADAM} confident.values random.seed random.batches",
    ),
    (
        "ProMix",
        {},
        f"seed epoch served guessing counts {PAIR} of_first.heads.linear.weight of_first.heads.linear.bias "
        "of_first.small.values of_first.selected.values of_first.others.values of_second.heads.linear.weight "
        "of_second.heads.linear.bias of_second.small.values of_second.selected.values of_second.others.values",
    ),
    (
        "UNICON",
        {},
        f"seed epoch served size labelled {PAIR} {PROJECTION.format('first')} {PROJECTION.format('second')} "
        "weights.values",
    ),
    ("GlobalLocal", {}, "divided backbone.weight hard.values weights.values targets.values"),
    ("MixFix", {}, "seed batches shares backbone.weight labels.values weights.values"),
    (
        "RRL",
        {},
        "seed epoch batches prototypes share_clean backbone.weight embedding.weight embedding.bias decoder.weight "
        "decoder.bias soft.values labels.values clean.values",
    ),
)


def _network() -> nn.Module:
    return nn.Linear(2, 3, bias=False)


def _make(name: str, arguments: dict[str, Any]) -> Method:
    return make((name, arguments), Problem(_network, CrossEntropy(), num_classes=3, num_samples=60))


@pytest.mark.parametrize(("name", "arguments", "keys"), KEYS)
def test_the_keys_of_a_checkpoint_stay(name: str, arguments: dict[str, Any], keys: str) -> None:
    assert list(_make(name, arguments).state_dict()) == keys.split()


def test_the_keys_of_every_method_are_held() -> None:
    assert {name for name, _, _ in KEYS} == {name for name, _ in EXAMPLES}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in KEYS}))
def test_a_method_draws_its_networks_first_and_then_its_seed(name: str) -> None:
    torch.manual_seed(0)
    method = _make(name, next(arguments for one, arguments, _ in KEYS if one == name))
    torch.manual_seed(0)
    for network in ["first", "second"] if hasattr(method, "first") else ["backbone"]:
        assert getattr(method, network).weight.equal(_network().weight)
    if hasattr(method, "seed"):
        assert method.seed == torch.randint(2**62, ())
