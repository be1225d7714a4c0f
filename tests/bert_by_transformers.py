"""What ``transformers`` makes of the tests' checkpoint; the project does not depend on it.

``python tests/bert_by_transformers.py``, where transformers is installed beside the project, prints
the figures that ``test_geneformer_checkpoint.py`` holds ours to: the first and the last token of
the encoder and the pooler's output, over ``SEQUENCE``, padded.
"""

import tempfile
from pathlib import Path

from bert_folders import SEQUENCE, bert_config, write_folder


def main():
    import torch
    import transformers

    print("transformers", transformers.__version__)
    for activation in ("relu", "gelu"):
        with tempfile.TemporaryDirectory() as name:
            folder = write_folder(Path(name), config=bert_config(hidden_act=activation))
            model = transformers.BertModel.from_pretrained(folder).eval()
        ids = torch.tensor([[*SEQUENCE, 0, 0]])
        with torch.no_grad():
            made = model(input_ids=ids, attention_mask=(ids > 0).long())
        tokens = made.last_hidden_state[0]
        for values in (tokens[0], tokens[len(SEQUENCE) - 1], made.pooler_output[0]):
            print(activation, [round(float(value), 5) for value in values])


if __name__ == "__main__":
    main()
