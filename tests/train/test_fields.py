"""Every field of a training config changes the result."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from tests.train.conftest import CONFIG
from train import trainer as trainer_module
from train.config import IcdConfig, OptimConfig, TrainConfig
from train.trainer import DivergedError, Trainer

OTHER = {
    "seed": 5,
    "ema_decay": 0.05,
    "bf16": True,
    "diverged_at": 1e-9,
    "mirror": True,
    "warm_start.iterations": 3,
    "warm_start.batch_size": 5,
    "icd.iterations": 5,
    "icd.batch_size": 5,
    "icd.steps": 4,
    "icd.contrastive_weight": 2.0,
    "icd.opt_weight": 2.0,
    "icd.kl_steps": 2,
    "icd.entropy_weight": 2.0,
    "icd.entropy_past": 2,
    "icd.penalty_weight": 9.0,
    "icd.matching_weight": 1.0,
    "icd.matching_batch": 5,
    "icd.buffer_size": 5,
    "icd.buffer_kind": "reservoir",
    "icd.reinit_prob": 0.9,
    "icd.jolt_prob": 0.5,
    "optim.lr": 2e-2,
    "optim.beta1": 0.5,
    "optim.beta2": 0.5,
    "optim.warmup": 4,
    "optim.final_lr": 0.1,
    "optim.clip_norm": 1e-9,
    "optim.muon_lr": 1e-2,
    "optim.hold": 0.9,
    "optim.muon_decay": 9.0,
}
ELSEWHERE = {"data", "net", "plan", "matching", "log", "warm_start", "icd"}  # sections tested field by field elsewhere
ELSEWHERE |= {"family", "attribute", "balanced", "seen_share", "start_from"}  # test_conditional.py
ELSEWHERE |= {"ema_widths", "compile"}  # test_averages.py, test_compiled.py
ELSEWHERE |= {"space", "views"}  # test_latent.py, test_views.py
DIVERGES = {"diverged_at"}  # the value above ends the run
# Only beside another one: what a field needs in order to act.
NEEDS = {"optim.hold": {"final_lr": 0.1}, "optim.muon_decay": {"muon_lr": 1e-2}}


def final_parameters(config, data):
    trainer = Trainer(config, data, "cpu")
    try:
        while trainer.iteration < config.iterations:
            trainer.step(measure=True)
    except DivergedError:
        return None
    return torch.cat([v.flatten() for v in trainer.averages.main.net.state_dict().values()])


def fields_of(cls, prefix=""):
    for f in fields(cls):
        if f.name == "optim":
            yield from ((f"{prefix}optim", g.name) for g in fields(OptimConfig))
        elif f.name not in ELSEWHERE:
            yield (prefix.rstrip("."), f.name)


ALL = [*fields_of(TrainConfig), *fields_of(IcdConfig, "icd.")]
ALL += [("warm_start", "iterations"), ("warm_start", "batch_size")]
ALL += [("warm_start.optim", f.name) for f in fields(OptimConfig)]


@pytest.mark.parametrize(("section", "name"), ALL)
def test_every_training_field_changes_the_result(section, name, data):
    base = replace(CONFIG, icd=replace(CONFIG.icd, iterations=4), warm_start=replace(CONFIG.warm_start, iterations=2))
    if (section, name) == ("", "bf16") and not trainer_module.has_bf16("cpu"):
        pytest.skip("this processor has no bfloat16 instructions")
    key = f"{section.split('.')[-1]}.{name}".lstrip(".")
    path = section.split(".") if section else []
    base = changed_config(base, path, NEEDS.get(key, {}))
    changed = final_parameters(changed_config(base, path, {name: OTHER[key]}), data)
    original = final_parameters(base, data)
    assert original is not None
    assert (changed is None) == (key in DIVERGES)
    assert changed is None or not torch.equal(changed, original)


def test_the_same_config_gives_the_same_parameters(data):
    assert torch.equal(final_parameters(CONFIG, data), final_parameters(CONFIG, data))


def changed_config(config, path, values):
    """The config with values replaced in one of its sections."""
    if not path:
        return replace(config, **values)
    head, *rest = path
    inner = getattr(config, head)
    assert is_dataclass(inner)
    return replace(config, **{head: changed_config(inner, rest, values)})
