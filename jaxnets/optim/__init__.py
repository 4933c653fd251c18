"""`torch.optim` as `optax` transformations: torch's arguments, torch's numbers."""

from jaxnets.optim import lr_scheduler
from jaxnets.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from jaxnets.optim.adaptive import Adadelta, Adafactor, Adagrad, RMSprop, Rprop
from jaxnets.optim.clip import clip_grad_norm, clip_grad_value
from jaxnets.optim.groups import param_groups
from jaxnets.optim.lbfgs import LBFGS
from jaxnets.optim.muon import Muon
from jaxnets.optim.sgd import ASGD, SGD
from jaxnets.optim.state import load_state_dict, state_dict

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "clip_grad_norm",
    "clip_grad_value",
    "load_state_dict",
    "lr_scheduler",
    "param_groups",
    "state_dict",
]
