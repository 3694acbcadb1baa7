"""Loads a run's weights.safetensors into PyTorch, strictly, and writes them back.

    python tests/oracle/load_weights.py CASE FILE BACK

CASE is one of models.py's. The container is read by hand: 8 bytes of length, a JSON header, then the bytes. Prints the model's
logits for the case's batch in evaluation mode, as one JSON list.
"""
import json, pathlib, struct, sys
import numpy as np, torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models

TYPES = {name: np.dtype(numpy) for numpy, name in models.DTYPES.items()}


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


if __name__ == "__main__":
    case, file, back = sys.argv[1:]
    make, inputs, targets, classes = models.CASES[case]
    model = make().double()
    print(model.load_state_dict(read_safetensors(file), strict=True), file=sys.stderr)
    model.eval()
    with torch.no_grad():
        logits = model(models.data_of(case, inputs, targets, classes)[0])
    models.write_safetensors(back, {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    print(json.dumps(logits.reshape(-1).tolist()))
