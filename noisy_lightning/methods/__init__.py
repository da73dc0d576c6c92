"""How a network is trained: one file per method.

What a step costs, as a multiple of `Standard`'s, which is 21 ms for SmallCNN and 155 ms for ResNet-18 with ImageNet's
stem (processor time of one thread, 128 images of CIFAR-10's shape, bf16, medians of n = 5 and good to about 0.1;
measured by `OMP_NUM_THREADS=1 python -m tests.tools.benchmark --only methods`):

| | SmallCNN | ResNet-18 |
| --- | ---: | ---: |
| DynamicWeights | 1.00 | 0.98 |
| StochasticLabelNoise | 1.03 | 1.02 |
| ForwardCorrection | 1.05 | 1.00 |
| BackwardCorrection | 1.01 | 1.00 |
| EarlyLearningRegularization | 1.02 | 0.98 |
| SelfEnsembleLabelCorrection | 1.01 | 1.01 |
| SelfAdaptiveTraining | 1.01 | 0.94 |
| SampleSelectionCORES | 1.03 | 1.01 |
| DimensionalityDriven | 1.01 | 1.03 |
| MentorNet | 1.04 | 1.00 |
| SOP | 1.05 | 1.01 |
| VolMinNet | 1.05 | 0.99 |
| CAL | 1.05 | 1.03 |
| PES | 1.01 | 0.99 |
| GlobalLocal | 1.01 | 0.99 |
| TRevision, third stage | 1.07 | 1.52 |
| MixFix | 1.32 | 1.24 |
| Decoupling | 1.97 | 2.03 |
| CoTeaching | 1.95 | 2.04 |
| CoTeachingPlus | 1.96 | 2.02 |
| JoCoR | 1.94 | 1.99 |
| PeerLoss, two batches | 1.92 | 2.01 |
| FDivergence, two batches | 2.04 | 1.88 |
| INCVCoTeaching | 2.57 | 2.36 |
| SOPPlus, two views | 2.02 | 1.82 |
| SSR, two views | 1.94 | 1.83 |
| EarlyLearningRegularizationPlus | 2.64 | 2.52 |
| PESSemi, two views twice | 2.70 | 2.27 |
| RRL, two views | 3.27 | 2.96 |
| SSRPlus, three views | 3.43 | 3.10 |
| DISC, two views twice | 4.07 | 3.85 |
| DivideMix, two networks on two views three times | 6.46 | 5.15 |
| UNICON, two networks on four views | 6.79 | 5.51 |
| L2RW, two batches | 7.34 | 4.88 |
| MetaWeightNet, two batches | 8.14 | 6.05 |
| ProMix, two networks on two views | 8.50 | 8.52 |

DISC, SSR, SSRPlus, PES and PESSemi were measured with all samples selected, when they take longest. Passes over the
training part come on top, each about a third of an epoch: two before every epoch for DivideMix, PES and PESSemi once
their warm-up is over, one for SSR and SSRPlus, one for StochasticLabelNoise once it corrects labels, and one in all for
an estimated transition matrix. The neighbors that SSR asks take 33 s of processor time for 50,000 samples of 512
features.
"""

from noisy_lightning.methods.backward_correction import BackwardCorrection
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.cal import CAL
from noisy_lightning.methods.co_teaching import CoTeaching
from noisy_lightning.methods.co_teaching_plus import CoTeachingPlus
from noisy_lightning.methods.decoupling import Decoupling
from noisy_lightning.methods.dimensionality_driven import DimensionalityDriven
from noisy_lightning.methods.disc import DISC
from noisy_lightning.methods.divide_mix import DivideMix
from noisy_lightning.methods.dynamic_weights import DynamicWeights
from noisy_lightning.methods.early_learning_regularization import EarlyLearningRegularization
from noisy_lightning.methods.early_learning_regularization_plus import EarlyLearningRegularizationPlus
from noisy_lightning.methods.f_divergence import FDivergence
from noisy_lightning.methods.forward_correction import ForwardCorrection
from noisy_lightning.methods.global_local import GlobalLocal
from noisy_lightning.methods.incv_co_teaching import INCVCoTeaching
from noisy_lightning.methods.jocor import JoCoR
from noisy_lightning.methods.l2rw import L2RW
from noisy_lightning.methods.mentor_net import MentorNet
from noisy_lightning.methods.meta_weight_net import MetaWeightNet
from noisy_lightning.methods.mix_fix import MixFix
from noisy_lightning.methods.peer_loss import PeerLoss
from noisy_lightning.methods.pes import PES
from noisy_lightning.methods.pes_semi import PESSemi
from noisy_lightning.methods.promix import ProMix
from noisy_lightning.methods.rrl import RRL
from noisy_lightning.methods.sample_selection_cores import SampleSelectionCORES
from noisy_lightning.methods.self_adaptive_training import SelfAdaptiveTraining
from noisy_lightning.methods.self_ensemble_label_correction import SelfEnsembleLabelCorrection
from noisy_lightning.methods.sop import SOP
from noisy_lightning.methods.sop_plus import SOPPlus
from noisy_lightning.methods.ssr import SSR
from noisy_lightning.methods.ssr_plus import SSRPlus
from noisy_lightning.methods.standard import Standard
from noisy_lightning.methods.stochastic_label_noise import StochasticLabelNoise
from noisy_lightning.methods.t_revision import TRevision
from noisy_lightning.methods.unicon import UNICON
from noisy_lightning.methods.vol_min_net import VolMinNet

__all__ = [
    "CAL",
    "DISC",
    "L2RW",
    "PES",
    "RRL",
    "SOP",
    "SSR",
    "UNICON",
    "BackwardCorrection",
    "CoTeaching",
    "CoTeachingPlus",
    "Decoupling",
    "DimensionalityDriven",
    "DivideMix",
    "DynamicWeights",
    "EarlyLearningRegularization",
    "EarlyLearningRegularizationPlus",
    "EpochContext",
    "FDivergence",
    "ForwardCorrection",
    "GlobalLocal",
    "INCVCoTeaching",
    "JoCoR",
    "MentorNet",
    "MetaWeightNet",
    "Method",
    "MixFix",
    "PESSemi",
    "PeerLoss",
    "ProMix",
    "Problem",
    "SOPPlus",
    "SSRPlus",
    "SampleSelectionCORES",
    "SelfAdaptiveTraining",
    "SelfEnsembleLabelCorrection",
    "Standard",
    "StochasticLabelNoise",
    "TRevision",
    "VolMinNet",
]
