"""PyTorch's loss, gradients and weights for each model, from formula weights and data: tests/jobs/fixtures/*.safetensors.

    python tests/oracle/models.py [--yardstick FOLDER_OF_ddp.py]

needs torch 2.11 and numpy. Everything in float64, three steps of SGD (lr 0.05, momentum 0.9) on one batch. For each model two files:
  small_MODEL  reduced sizes: `loss` of the three steps, `grad/NAME` of the first, `after1/NAME` and `after3/NAME` whole
  full_MODEL   the yardstick's sizes: of each tensor its norm, then 64 entries, element i * size / 64 (all of a smaller one)
`after1` and `after3` hold buffers too. With --yardstick the script also compares names and shapes with ddp.py's models.
"""
import argparse, json, pathlib, struct, sys
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import formula, formula_label

# As in tests/jobs/model_oracle.cpp; weights are tensors 0, 1, ... Of 120 candidates the one of full_resnet18 keeps all that goes
# into a ReLU farthest from 0, at least four times float32's rounding: a flip changes gradients by up to 1e-2.
INPUTS, TARGETS = {"full_resnet18": 2015}, 1001


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.c2, self.b2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.sc = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.sc = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.sc(x))


class ResNet18(nn.Module):
    def __init__(self, shape, channels, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], channels[0], 3, 1, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU())
        blocks, width = [], channels[0]
        for i, c in enumerate(channels):
            blocks += [Block(width, c, 1 if i == 0 else 2), Block(c, c, 1)]
            width = c
        self.body, self.fc = nn.Sequential(*blocks), nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


class CharLSTM(nn.Module):
    def __init__(self, vocabulary, embedding, hidden, layers):
        super().__init__()
        self.emb = nn.Embedding(vocabulary, embedding)
        self.rnn = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.fc = nn.Linear(hidden, vocabulary)

    def forward(self, x):
        return self.fc(self.rnn(self.emb(x))[0]).flatten(0, 1)


def mlp(shape, hidden, classes):
    layers, width = [nn.Flatten()], int(np.prod(shape))
    for h in hidden:
        layers += [nn.Linear(width, h), nn.ReLU()]
        width = h
    return nn.Sequential(*layers, nn.Linear(width, classes))


def cnn(shape, channels, classes):
    c, h, w = shape
    return nn.Sequential(nn.Conv2d(c, channels[0], 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(channels[0], channels[1], 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(channels[1] * (h // 4) * (w // 4), classes))


# name: model, shape of the inputs (B, ...), shape of the targets, classes; as tests/jobs/model_oracle.cpp
CASES = {
    "small_mlp": (lambda: mlp((1, 5, 4), [9, 7], 4), (6, 1, 5, 4), (6,), 4),
    "full_mlp": (lambda: mlp((1, 28, 28), [1024] * 3, 10), (8, 1, 28, 28), (8,), 10),
    "small_cnn": (lambda: cnn((2, 10, 9), [3, 4], 5), (6, 2, 10, 9), (6,), 5),
    "full_cnn": (lambda: cnn((1, 28, 28), [8, 16], 10), (8, 1, 28, 28), (8,), 10),
    "small_resnet18": (lambda: ResNet18((2, 11, 9), [3, 4, 5, 6], 5), (6, 2, 11, 9), (6,), 5),
    "full_resnet18": (lambda: ResNet18((3, 32, 32), [64, 128, 256, 512], 10), (2, 3, 32, 32), (2,), 10),
    "small_lstm": (lambda: CharLSTM(7, 5, 6, 2), (4, 9), (4, 9), 7),
    "full_lstm": (lambda: CharLSTM(65, 128, 512, 2), (3, 64), (3, 64), 65),
}


def begin(model):
    """Formula values, scaled as torch.nn's initialisation would: U(-b, b), N(0, 1), ones and zeros."""
    modules = dict(model.named_modules())
    for i, (name, parameter) in enumerate(model.named_parameters()):
        owner, kind = name.rpartition(".")[0], name.rpartition(".")[2]
        module, values = modules[owner], formula(i, tuple(parameter.shape))
        if isinstance(module, nn.BatchNorm2d):
            values = 0.1 * values + (1 if kind == "weight" else 0)
        elif isinstance(module, nn.LSTM):
            values = values / np.sqrt(module.hidden_size)
        elif not isinstance(module, nn.Embedding):
            values = values / np.sqrt(module.weight[0].numel())
        parameter.data.copy_(torch.from_numpy(values))


def data_of(name, inputs, targets, classes):
    text, tensor = len(inputs) == 2, INPUTS.get(name, 1000)
    x = formula_label(tensor, inputs, classes) if text else formula(tensor, inputs)
    return torch.from_numpy(x), torch.from_numpy(formula_label(TARGETS, targets, classes))


def shown(tensor, whole):
    flat = tensor.detach().double().reshape(-1)
    if whole:
        return tensor.detach().double().numpy().copy()  # parameters change in place
    entries = flat if len(flat) <= 64 else flat[torch.arange(64) * len(flat) // 64]
    return torch.cat([flat.norm()[None], entries]).numpy()


DTYPES = {"float64": "F64", "float32": "F32", "int64": "I64"}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": DTYPES[values.dtype.name], "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


def run(name, folder):
    make, inputs, targets, classes = CASES[name]
    whole = name.startswith("small")
    model = make().double()
    begin(model)
    x, y = data_of(name, inputs, targets, classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses, out = [], {}
    for step in (1, 2, 3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y.flatten())
        loss.backward()
        losses.append(float(loss.detach()))
        if step == 1:
            out.update({"grad/" + n: shown(p.grad, whole) for n, p in model.named_parameters()})
        optimizer.step()
        if step != 2:
            out.update({f"after{step}/" + n: shown(t, whole) for n, t in model.state_dict().items()})
    out["loss"] = np.array(losses)
    path = folder / f"{name}.safetensors"
    write_safetensors(path, out)
    print(f"{path.name}: {path.stat().st_size} bytes, losses {losses}")


def compare_with_yardstick(folder):
    sys.path.insert(0, folder)
    import ddp
    for name in ("mlp", "cnn", "resnet18", "lstm"):
        theirs = ddp.build(name, 2)[0].state_dict()
        ours = CASES["full_" + name][0]().state_dict()
        assert [(n, t.shape) for n, t in ours.items()] == [(n, t.shape) for n, t in theirs.items()], name
    print("names and shapes are the yardstick's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--yardstick")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.yardstick:
        compare_with_yardstick(options.yardstick)
    for name in CASES:
        run(name, pathlib.Path(__file__).parent.parent / "jobs/fixtures")
