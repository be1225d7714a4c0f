"""scGen from PyPI, in an environment of its own: an .npz with cells in, one corrected out.

`python run.py IN.npz OUT.npz`; IN holds x (n_cells, n_genes), batch, cell_type, seed, max_epochs.
Network, optimiser, mini-batches and early stopping are those of the package's own tutorial on batch
removal.

References
----------
Lotfollahi et al. 2019 (scGen), doi:10.1038/s41592-019-0494-8.
"""

import json
import sys
import time
import types
import typing
from importlib.metadata import version
from pathlib import Path

import numpy as np

TRAINING = {
    "batch_size": 32,
    "early_stopping": True,
    "early_stopping_patience": 25,
}


def import_scgen() -> types.ModuleType:
    """scgen 2.1.0 over today's scvi-tools, which has three of its names under others."""
    import scvi.module.base
    from torch.distributions import Normal

    compat = types.ModuleType("scvi._compat")
    compat.Literal = typing.Literal
    sys.modules["scvi._compat"] = compat

    def loss_recorder(loss, reconstruction_loss, kl_local):
        return scvi.module.base.LossOutput(
            loss=loss, reconstruction_loss=reconstruction_loss, kl_local=kl_local
        )

    scvi.module.base.LossRecorder = loss_recorder
    import scgen

    own_inference = scgen.SCGENVAE.inference

    def inference(self, x):
        outputs = own_inference(self, x)
        return outputs | {"qz": Normal(outputs["qz_m"], outputs["qz_v"].sqrt())}

    scgen.SCGENVAE.inference = inference
    return scgen


def main(given: Path, wanted: Path) -> None:
    import anndata
    import scvi
    import torch

    torch.set_num_threads(1)
    scgen = import_scgen()

    cells = np.load(given)
    seed, max_epochs = int(cells["seed"]), int(cells["max_epochs"])
    scvi.settings.seed = seed
    data = anndata.AnnData(
        cells["x"].astype(np.float32),
        obs={name: cells[name].astype(str) for name in ("batch", "cell_type")},
    )
    data.obs_names = [str(i) for i in range(data.n_obs)]
    scgen.SCGEN.setup_anndata(data, batch_key="batch", labels_key="cell_type")
    model = scgen.SCGEN(data)
    start = time.perf_counter()
    model.train(max_epochs=max_epochs, accelerator="cpu", enable_progress_bar=False, **TRAINING)
    seconds = time.perf_counter() - start
    corrected = model.batch_removal()
    # The package has given rows in another order than its input's before.
    corrected = corrected[data.obs_names]
    about = {
        "scgen": version("scgen"),
        "scvi-tools": version("scvi-tools"),
        "epochs": len(model.history["elbo_train"]),
        "train_seconds": round(seconds, 2),
    }
    np.savez(wanted, decoded=np.asarray(corrected.X, dtype=np.float32), about=json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
