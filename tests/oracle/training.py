"""Writes tests/worker/fixtures/training.json: what PyTorch makes of every optimizer, of clipping, of accumulation and of
every schedule, on a small mlp with weights and data from formula.py.

    python tests/oracle/training.py        needs torch and numpy; tests/worker/training_oracle_test.cpp reads the result

The mlp: 12 inputs, 8 hidden, 5 classes, batches of 6. Step s takes inputs formula(100 + s) and labels formula_label(200 +
s); parameter t starts at formula(t) / sqrt(fan_in). Schedules run 20 steps, 4 epochs of 5.
"""
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import lr_scheduler as schedulers

from formula import formula, formula_label

SHAPES = [((8, 12), 12), ((8,), 12), ((5, 8), 8), ((5,), 8)]
STEPS_PER_EPOCH, EPOCHS = 5, 4


def build(dtype):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 5)).to(dtype)
    with torch.no_grad():
        for t, (parameter, (shape, fan_in)) in enumerate(zip(model.parameters(), SHAPES)):
            parameter.copy_(torch.from_numpy(formula(t, shape) / fan_in**0.5))
    return model


def batch(step, dtype):
    return torch.from_numpy(formula(100 + step, (6, 1, 3, 4))).to(dtype), torch.from_numpy(formula_label(200 + step, (6,), 5))


def optimizer(model, kind, lr, **options):
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](
        model.parameters(), lr=lr, **({"weight_decay": 0.0} | options))


def step(model, rule, number, dtype, clip=None, parts=1):
    x, y = batch(number, dtype)
    rule.zero_grad()
    loss = 0
    for px, py in zip(x.chunk(parts), y.chunk(parts)):
        part = F.cross_entropy(model(px), py, reduction="sum") / len(y)
        part.backward()
        loss += part.item()
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    rule.step()
    return loss


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors]).double().tolist()


def optimizer_case(name, kind, lr, clip=None, parts=1, **options):
    case = dict(name=name, kind=kind, lr=lr, clip_norm=clip, accumulate=parts, options=options)
    for precision, dtype in (("fp64", torch.float64), ("fp32", torch.float32)):
        model = build(dtype)
        rule = optimizer(model, kind, lr, **options)
        losses = [step(model, rule, number, dtype, clip, parts) for number in range(3)]
        case[precision] = dict(losses=losses, gradients=flat(p.grad for p in model.parameters()),
                               weights=flat(model.parameters()))
    return case


def schedule_case(name, make, lr, warmup=0, **options):
    model = build(torch.float64)
    rule = optimizer(model, "sgd", lr, momentum=0.9)
    schedule, every = make(rule)
    rates, losses = [], []
    for number in range(STEPS_PER_EPOCH * EPOCHS):
        rates.append(rule.param_groups[0]["lr"])
        losses.append(step(model, rule, number, torch.float64))
        if schedule and (number + 1) % every == 0:
            schedule.step()
    return dict(name=name, lr=lr, warmup_steps=warmup, options=options, rates=rates, losses=losses,
                weights=flat(model.parameters()))


def warmup(rule, steps, then):
    rise = schedulers.LinearLR(rule, start_factor=1 / steps, total_iters=steps - 1)
    return schedulers.SequentialLR(rule, [rise, then], [steps])


TOTAL = STEPS_PER_EPOCH * EPOCHS
DATA = dict(
    optimizers=[
        optimizer_case("Sgd", "sgd", 0.1),
        optimizer_case("SgdMomentum", "sgd", 0.1, momentum=0.9),
        optimizer_case("SgdNesterovDecay", "sgd", 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        optimizer_case("Adam", "adam", 0.01),
        optimizer_case("AdamDecay", "adam", 0.01, betas=[0.8, 0.99], eps=1e-6, weight_decay=0.1),
        optimizer_case("Adamw", "adamw", 0.01, weight_decay=0.1),
        optimizer_case("Clipped", "sgd", 0.1, clip=0.25, momentum=0.9),
        optimizer_case("ClippedLoosely", "sgd", 0.1, clip=1000.0, momentum=0.9),
        optimizer_case("Accumulated", "sgd", 0.1, parts=3, momentum=0.9),
        optimizer_case("AccumulatedAdamClipped", "adam", 0.01, clip=0.5, parts=2),
    ],
    schedules=[
        schedule_case("Constant", lambda rule: (None, 1), 0.05),
        schedule_case("ConstantWarm", lambda rule: (
            schedulers.LinearLR(rule, start_factor=1 / 4, total_iters=3), 1), 0.05, warmup=4),
        schedule_case("Step", lambda rule: (schedulers.StepLR(rule, 2, 0.1), STEPS_PER_EPOCH), 0.05, step_epochs=2,
                      gamma=0.1),
        schedule_case("Cosine", lambda rule: (schedulers.CosineAnnealingLR(rule, TOTAL, 0.001), 1), 0.05, min_lr=0.001),
        schedule_case("CosineWarm", lambda rule: (
            warmup(rule, 4, schedulers.CosineAnnealingLR(rule, TOTAL - 4, 0.001)), 1), 0.05, warmup=4, min_lr=0.001),
        schedule_case("OneCycle", lambda rule: (schedulers.OneCycleLR(
            rule, 0.1, TOTAL, div_factor=10, cycle_momentum=False), 1), 0.01, max_lr=0.1),
        schedule_case("OneCycleWarm", lambda rule: (schedulers.OneCycleLR(
            rule, 0.1, TOTAL, pct_start=8 / TOTAL, div_factor=10, cycle_momentum=False), 1), 0.01, warmup=8, max_lr=0.1),
    ])

if __name__ == "__main__":
    target = pathlib.Path(__file__).parent.parent / "worker" / "fixtures" / "training.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(DATA, indent=0) + "\n")
    print(target, target.stat().st_size, "bytes, torch", torch.__version__)
