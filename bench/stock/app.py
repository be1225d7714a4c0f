"""FedAvg.start over a PyTorch model, as in Flower's own examples; it notes its times."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()


def _reply(message: Message, work: bool) -> Message:
    start = time.perf_counter()
    import torch

    imported = time.perf_counter() - start
    start = time.perf_counter()
    state = message.content["arrays"].to_torch_state_dict()
    if work:
        # A step of an optimiser, so that it is imported as any training imports it.
        parameters = [torch.nn.Parameter(value) for value in state.values()]
        optimiser = torch.optim.Adam(parameters)
        sum(parameter.square().sum() for parameter in parameters).backward()
        optimiser.step()
        state = dict(zip(state, (p.detach() for p in parameters), strict=True))
    seconds = time.perf_counter() - start
    metrics = {"num-examples": 1, "work": seconds, "import": imported}
    content = RecordDict({"metrics": MetricRecord(metrics)})
    if work:
        content["arrays"] = ArrayRecord(state)
    return Message(content, reply_to=message)


@client.train()
def train(message: Message, context: Context) -> Message:
    return _reply(message, work=True)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    return _reply(message, work=False)


class Timed(FedAvg):
    """FedAvg with the times of its calls."""

    def __init__(self, n_sites: int):
        super().__init__(min_available_nodes=n_sites, min_train_nodes=n_sites)
        self.phases: list[dict[str, float]] = []

    def configure_train(self, *arguments):
        self.phases.append({"phase": "train", "begin": time.time()})
        return super().configure_train(*arguments)

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        self._note(replies)
        return super().aggregate_train(server_round, replies)

    def configure_evaluate(self, *arguments):
        self.phases.append({"phase": "evaluate", "begin": time.time()})
        return super().configure_evaluate(*arguments)

    def aggregate_evaluate(self, server_round, replies):
        replies = list(replies)
        self._note(replies)
        return super().aggregate_evaluate(server_round, replies)

    def _note(self, replies):
        works = [reply.content["metrics"]["work"] for reply in replies]
        self.phases[-1] |= {"end": time.time(), "work": max(works), "n_replies": len(replies)}


@server.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    rng = np.random.default_rng(1)
    shapes = json.loads(str(config["shapes"]))
    state = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    import torch

    arrays = ArrayRecord({name: torch.from_numpy(np.array(v)) for name, v in state.items()})
    strategy = Timed(int(config["n-sites"]))
    strategy.start(grid, initial_arrays=arrays, num_rounds=int(config["rounds"]))
    path = Path(str(config["out"]))
    path.with_suffix(".part").write_text(json.dumps(strategy.phases))
    path.with_suffix(".part").rename(path)
